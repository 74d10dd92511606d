"""The table [priors]: the port that receives priors, and how long a study waits for them."""

from typing import Annotated

from pydantic import Field

from node.settings.section import AETitle, Port, Section


class PriorSettings(Section):
    """The port that receives priors sent by C-MOVE, and how long a study waits for its priors.

    It has its own AE title; an instance that does not belong to a requested prior is refused there.
    """

    ae_title: AETitle = "HEATPROOF_PRIOR"
    """Move destination that the PACS must know, with the address of this node (or of any that shares its store)."""
    port: Port | None = None
    """DICOM port for priors; without one there is no C-MOVE, and rules fetch priors by DICOMweb only."""
    tls: bool = False
    """Whether that port uses TLS, with the files of [tls]; it does in any case where tls.required is set."""
    longest_wait_seconds: Annotated[float, Field(gt=0)] = 120.0
    """Timeout after which a study is analysed without the priors that have not arrived; failures are recorded."""
