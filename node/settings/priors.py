"""The settings of priors: by which door they come in, and how long a study waits for them."""

from typing import Annotated

from pydantic import Field

from node.settings.section import AETitle, Port, Section


class PriorSettings(Section):
    """Where priors come in that a PACS sends by C-MOVE, and how long a study waits for its priors.

    They have an AE title and a port of their own: what comes in there is a prior, or it is refused.
    """

    ae_title: AETitle = "HEATPROOF_PRIOR"
    """Move destination that the PACS must know, with the address of this node (or of any that shares its store)."""
    port: Port | None = None
    """DICOM port for priors; without one there is no C-MOVE, and rules fetch priors by DICOMweb only."""
    tls: bool = False
    """Whether that port speaks TLS, with the files of [tls]; it does in any case where tls.required is set."""
    longest_wait_seconds: Annotated[float, Field(gt=0)] = 120.0
    """After so long a study is analysed without the priors that are not here yet; what failed is written down."""
