"""The registry of transports and proofs, by their names in the settings."""

from collections.abc import Mapping

from node.delivery.commitment import Commitments
from node.delivery.dicomweb import QidoProof, StowTransport
from node.delivery.dimse import DimseTransport
from node.delivery.find import FindProof
from node.delivery.transport import Proof, Transport


def transports(calling_ae_title: str) -> Mapping[str, Transport]:
    """Return the transport of each ``destinations.protocol``."""
    return {"dimse": DimseTransport(calling_ae_title), "stow": StowTransport()}


def proofs(calling_ae_title: str, commitments: Commitments) -> Mapping[str, Proof]:
    """Return the proof of each ``destinations.proof``; ``none`` has none."""
    return {"commitment": commitments, "find": FindProof(calling_ae_title), "qido": QidoProof()}
