"""Would another training of the same data point at the same place? Arun et al. 2021, repeatability and reproducibility.

Each map is compared with the maps of the bundle's other networks on the same input. Networks trained on the same data
share their errors: agreement is no evidence that a map is right, disagreement is evidence that it is arbitrary.
The null of each figure is the agreement of this very map with the same networks' maps of other subjects of the class.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from inference.bundle.bundle import Network
from inference.criteria.agreement import Maps, Scores, hottest_overlap, spearman
from inference.trust.case import Case
from inference.trust.null import signal
from inference.trust.verdict import Signal

Agreement = Callable[[Maps, Maps], Scores]


def replicate_maps(case: Case) -> tuple[Maps, ...]:
    """Explain the same input for the same class by each replicate, (*spatial)."""
    return tuple(case.explained_by(network) for network in case.bundle.replicates(case.device))


def replicate_signals(case: Case, theirs: Sequence[Maps]) -> tuple[Signal, ...]:
    """Agree with the replicates: same architecture, other seeds. None where the bundle has no replicates.

    Args:
        case: the map.
        theirs: as ``replicate_maps`` gives them.
    """
    networks = case.bundle.replicates(case.device)
    if not networks:
        return ()
    what = f"agreement with {_count(networks, 'replicate')}"
    compare = _comparison(case, networks, np.stack(theirs))
    overlap = partial(hottest_overlap, seed=case.map.seed)
    return (
        compare(spearman, "replicate_agreement_spearman", f"{what} (Spearman)"),
        compare(overlap, "replicate_agreement_top10_iou", f"{what} (overlap of the hottest 10 %)"),
    )


def alternate_signals(case: Case) -> tuple[Signal, ...]:
    """Agree with the alternates: other architectures. None where the bundle has no alternates."""
    networks = case.bundle.alternates(case.device)
    if not networks:
        return ()
    what = f"agreement with {_count(networks, 'alternate architecture')}"
    theirs = np.stack([case.explained_by(network) for network in networks])
    return (_comparison(case, networks, theirs)(spearman, "alternate_agreement_spearman", f"{what} (Spearman)"),)


def _comparison(case: Case, networks: tuple[Network, ...], theirs: Maps) -> Callable[[Agreement, str, str], Signal]:
    """Make the networks' maps of the other subjects once, and give what compares with those and the case's."""
    own = case.map.values
    others = [maps for network in networks if (maps := case.null_maps(network)) is not None]

    def compare(agreement: Agreement, name: str, meaning: str) -> Signal:
        value = float(agreement(own, theirs).mean())
        return signal(name, meaning, value, nulls=[agreement(own, maps) for maps in others], seed=case.map.seed)

    return compare


def _count(networks: tuple[Network, ...], noun: str) -> str:
    return f"{len(networks)} {noun}{'' if len(networks) == 1 else 's'}"
