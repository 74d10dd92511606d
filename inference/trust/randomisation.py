"""Does the map depend on what the network learned? Adebayo 2018, arXiv 1810.03292; Arun 2021, second criterion.

The randomised twin has the primary's architecture and new random weights in every layer. A map that hardly changes
when everything learned is thrown away shows the image or the architecture, not the model.
"""

from inference.bundle.bundle import Network
from inference.criteria.agreement import spearman
from inference.saliency.controls.random_weights import randomised
from inference.trust.case import Case
from inference.trust.null import signal
from inference.trust.verdict import Signal


def twin_signals(case: Case) -> tuple[Signal, ...]:
    """Give the distance, 1 - Spearman, between the map and that of the randomised twin on the same input.

    Its null is the distance between the map and the *same* network's maps of other subjects of the class: how far the
    map moves when the image is another and the weights stay. Referenced, 0 says that throwing the weights away moves
    the map as much as changing the subject does, 1 that nothing of the map is left, below 0 that the map depends less
    on what was learned than on whose image it is: Arun's failure.
    """
    primary = case.bundle.primary(case.device)
    seed = case.map.seed
    other = Network(randomised(primary.module, seed=seed), primary.layer, f"randomised twin {seed}")
    own = case.map.values
    value = 1.0 - float(spearman(own, case.explained_by(other)[None])[0])
    subjects = case.null_maps(primary)
    return (
        signal(
            "randomised_twin_distance_spearman",
            f"distance from the weight-randomised twin (1 - Spearman; seed {seed})",
            value,
            nulls=[] if subjects is None else [1.0 - spearman(own, subjects)],
            seed=seed,
        ),
    )
