"""The settings of completeness: what proves that a study is complete, and whom to ask how many images it has."""

from typing import Annotated, Literal

from pydantic import Field

from node.settings.section import AETitle, Section


class Ask(Section):
    """A sender whose images are counted: a peer says how many a study has."""

    sender: AETitle
    """Calling AE title that the studies came from."""
    destination: str
    """Name of the destination that is asked; one that no rule names gets no results, and can be asked all the same."""
    by: Literal["find", "qido"] = "find"
    """C-FIND, or QIDO-RS where the destination has a url."""


class CompletenessSettings(Section):
    """What proves that a study is complete, beside that no image comes any more (``node.quiet_seconds``)."""

    performed_steps: bool = False
    """Take Modality Performed Procedure Steps: a study is complete once they have ended and all they list is here."""
    longest_wait_seconds: Annotated[float, Field(gt=0)] = 900.0
    """After so long without an image a study is analysed although something is missing; the report says what."""
    ask: tuple[Ask, ...] = ()
    """Senders whose images are counted."""
