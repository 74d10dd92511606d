"""The settings of completeness: what proves that a study is complete, and whom to ask how many images it has."""

from typing import Annotated, Literal

from pydantic import Field

from node.settings.section import AETitle, Section


class Ask(Section):
    """A sender, and the peer that is asked how many images its studies have."""

    sender: AETitle
    """Calling AE title that the studies came from."""
    destination: str
    """Name of the destination that is queried; no rule need name it."""
    by: Literal["find", "qido"] = "find"
    """C-FIND, or QIDO-RS where the destination has a url."""


class CompletenessSettings(Section):
    """What proves that a study is complete, beside the quiet time (``node.quiet_seconds``)."""

    performed_steps: bool = False
    """Accept Modality Performed Procedure Steps: a study is complete once they have ended and all they list is here."""
    longest_wait_seconds: Annotated[float, Field(gt=0)] = 900.0
    """Timeout without a new image after which an incomplete study is analysed; the report names what is missing."""
    ask: tuple[Ask, ...] = ()
    """Senders whose images are counted."""
