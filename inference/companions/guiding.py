"""Guiding the primary: its class activation map is drawn into the masks, if its classes do not suffer.

Whether they suffer is tested on patients that the network tested did not see: patients are dealt into folds, and the
primary is guided once for each fold with that fold left out. A patient's cases of the fold left out are classified by
the primary as it is and as it was guided without them. The difference in accuracy must, by its 95 % interval over
patients, be above minus ``MARGIN``; what the primary itself learnt from these patients before counts in its favour.
"""

from dataclasses import dataclass

import numpy as np
from torch import nn

from inference.companions.data import deal, divide
from inference.companions.measuring import (
    MeanFigure,
    Scores,
    average_mask,
    class_maps,
    figure,
    groups_of,
    hits,
    outlined,
    paired,
    rights,
)
from inference.companions.pieces import Piece, TrainingSite, train_piece
from inference.companions.training import TrainingSet

FOLDS = 3
MARGIN = 0.05
"""Loss of accuracy that counts as none."""
FEWEST_TESTED = 20
"""Patients without whom the test says nothing."""
METHOD = "gradcam"


@dataclass(frozen=True)
class GuidanceTest:
    """The primary as it is beside the primary guided, on patients that the guided one did not see."""

    accuracy_given: MeanFigure
    accuracy_guided: MeanFigure
    difference: MeanFigure
    """Guided less given."""
    hit_given: MeanFigure
    """Share of outlined cases where the peak of the class activation map lies in the mask."""
    hit_guided: MeanFigure
    hit_average_mask: MeanFigure
    """The same for the mean of all masks, which knows nothing of the image."""
    patients: int
    taken: bool
    reason: str

    @property
    def lines(self) -> tuple[str, ...]:
        """Report both versions side by side."""
        return (
            f"Guidance {'taken' if self.taken else 'not taken'}: {self.reason}",
            f"As given: accuracy {self.accuracy_given.words}, peak in the mask {self.hit_given.words}.",
            f"Guided:   accuracy {self.accuracy_guided.words}, peak in the mask {self.hit_guided.words}.",
            f"Accuracy, guided less given: {self.difference.words}, of {self.patients} patients left out of its "
            f"training; the average mask hits {self.hit_average_mask.words}.",
        )


@dataclass(frozen=True, eq=False)
class _FoldScores:
    positions: tuple[int, ...]
    right: tuple[Scores, Scores]
    masked: tuple[int, ...]
    hit: tuple[Scores, Scores, Scores]


def tested_guidance(site: TrainingSite, given: nn.Module, piece: Piece) -> GuidanceTest:
    """Guide the primary with each fold left out, and compare it with the primary as it is.

    Args:
        site: whose patients.
        given: the primary, in evaluation mode.
        piece: the guidance of all patients, of which those of the folds are variants.
    """
    everyone = tuple(range(len(site.cases.entries)))
    scores = []
    for number, held in enumerate(deal(site.cases, everyone, FOLDS, "folds", piece.seed), start=1):
        others = tuple(at for at in everyone if at not in set(held))
        division = divide(site.cases, others, "fold", number, piece.seed)
        fold = Piece(
            f"guided_without_{number}", "guided", "given", piece.schedule, piece.seed + number, division,
            layer=piece.layer,
        )  # fmt: skip
        guided, _ = train_piece(site, fold, f"guidance, tested on part {number} of {FOLDS}")
        scores.append(_of_fold(site, site.data(division), held, (given, guided), piece.layer))
    return judged(scores, site.data(piece.division))


def judged(scores: list[_FoldScores], data: TrainingSet) -> GuidanceTest:
    """Put the folds together and decide."""
    positions = [at for fold in scores for at in fold.positions]
    masked = [at for fold in scores for at in fold.masked]
    given, guided = (np.concatenate([fold.right[which] for fold in scores]) for which in (0, 1))
    hit = [np.concatenate([fold.hit[which] for fold in scores]) for which in range(3)]
    groups, of_masked = groups_of(data, positions), groups_of(data, masked)
    difference = paired(guided, given, groups).interval
    patients = len(set(groups))
    taken, reason = decided(difference.low, patients, float(hit[1].mean() - hit[0].mean()))
    return GuidanceTest(
        accuracy_given=_figure(given, groups),
        accuracy_guided=_figure(guided, groups),
        difference=MeanFigure.of(difference),
        hit_given=_figure(hit[0], of_masked),
        hit_guided=_figure(hit[1], of_masked),
        hit_average_mask=_figure(hit[2], of_masked),
        patients=patients,
        taken=taken,
        reason=reason,
    )


def decided(lowest: float | None, patients: int, gain: float) -> tuple[bool, str]:
    """Decide whether the guided primary is taken, and say why.

    Args:
        lowest: lower edge of the interval of the difference in accuracy, guided less given; None: no interval.
        patients: tested.
        gain: in the share of peaks in the mask.
    """
    if lowest is not None and lowest < -MARGIN:
        return False, (
            f"classification may be worse: its accuracy may fall by {-lowest:.2f}, more than {MARGIN:.2f}. "
            "More patients would tell, or a network whose map already lies near the findings."
        )
    if lowest is None or patients < FEWEST_TESTED:
        return False, f"{patients} patients are too few to test whether classification suffers ({FEWEST_TESTED})."
    if gain <= 0:
        return False, f"its map does not lie in the masks more often ({gain:+.2f})."
    return True, f"classification is not worse by more than {MARGIN:.2f}, and {gain:+.2f} of peaks lie in the mask."


def _of_fold(
    site: TrainingSite,
    data: TrainingSet,
    held: tuple[int, ...],
    networks: tuple[nn.Module, nn.Module],
    layer: str | None,
) -> _FoldScores:
    right = [rights(network, data, held, site.device) for network in networks]
    masked = outlined(data, held)
    maps = [class_maps(network, data, masked, METHOD, layer, site.device) for network in networks]
    control = np.repeat(average_mask(data)[None], len(masked), axis=0)
    hit = [hits(values, data, masked) for values in (*maps, control)]
    return _FoldScores(held, (right[0], right[1]), masked, (hit[0], hit[1], hit[2]))


def _figure(values: Scores, groups: list[str]) -> MeanFigure:
    made = figure(values, groups)
    return MeanFigure(float("nan"), None, None, 0, 0) if made is None else made
