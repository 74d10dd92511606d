"""What every measure works on: the explained cases of the judged split, their maps, and the networks."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from inference.bundle.bundle import Network
from inference.cases.cases import Cases
from inference.commissioning.measuring.explaining import Explainer, Maps
from inference.commissioning.measuring.settings import CommissionSettings
from inference.commissioning.measuring.store import Store
from inference.criteria.pairs import NullPairs, null_pairs
from inference.errors import Unsuitable
from inference.reading.outlines import Mask
from inference.saliency.gradient.segments import segments
from inference.statistics.seeds import seed_of

PRIMARY, TUNING, REPLICATE, ALTERNATE = "primary", "tuning", "replicate", "alternate"
FITTED, JUDGED = "fitted", "judged"
"""The parts of the cases: what is fitted on, and what is judged."""


@dataclass(frozen=True, slots=True)
class Explained:
    """One case and class that the model calls positive."""

    position: int
    """In ``Cases.entries``."""
    target: int
    """Class explained: the one the model calls."""
    probability: float
    right: bool
    """Whether that class is the case's own: an explained false positive has no finding."""
    masked: bool
    """Whether it is right and its finding is outlined: localisation can be measured."""


@dataclass(frozen=True, eq=False)
class Bench:
    """Everything a measure may ask for."""

    explainer: Explainer
    store: Store
    settings: CommissionSettings
    explained: tuple[Explained, ...]
    """Of the judged split: every figure is about these rows."""
    tuning: tuple[Explained, ...]
    """True positives of the split fitted on, outlined; empty where there is none."""
    assessed: Mapping[str, tuple[Explained, ...]]
    """By part, ``fitted`` and ``judged``: what the verdict is fitted on and judged by, as a node assesses it."""
    called: Mapping[str, int]
    """By part, the planes on which a class is called in the same series, assessed or not."""
    primary: Network
    replicates: tuple[Network, ...]
    alternates: tuple[Network, ...]
    segmented: dict[int, csr_array] = field(default_factory=dict)
    """Segments of cases, by position: found once, for every method."""

    @property
    def cases(self) -> Cases:
        """The cases themselves."""
        return self.explainer.cases

    @property
    def outlined(self) -> bool:
        """Whether anything is outlined in the judged split."""
        return any(self.cases.entries[at].masked for at in self.cases.of(self.settings.judged))

    def subset(self, count: int | None, what: str) -> list[int]:
        """Draw at most ``count`` rows of the explained cases, the same for every method, patient by patient in turn.

        Each patient gives one case before any gives a second, so that a small draw holds many patients.
        """
        ids = [self.cases.entries[explained.position].id for explained in self.explained]
        order = sorted(range(len(ids)), key=lambda row: (seed_of(what, ids[row]), row))
        given: Counter[str] = Counter()
        turns = []
        for place, row in enumerate(order):
            turns.append((given[self.group(row)], place, row))
            given[self.group(row)] += 1
        return sorted(row for _, _, row in sorted(turns)[:count])

    def group(self, row: int) -> str:
        """Return the patient of a row."""
        return self.cases.entries[self.explained[row].position].group

    def groups(self, rows: Sequence[int]) -> NDArray[np.str_]:
        """Return the patient of each row."""
        return np.array([self.group(row) for row in rows])

    def targets(self, rows: Sequence[int]) -> NDArray[np.int64]:
        """Return the class explained on each row."""
        return np.array([self.explained[row].target for row in rows], dtype=np.int64)

    def inputs(self, rows: Sequence[int]) -> torch.Tensor:
        """Return the inputs of some rows, (N, channels, *spatial)."""
        return torch.from_numpy(self.cases.inputs_of([self.explained[row].position for row in rows]))

    def masks(self, rows: Sequence[int]) -> Mask:
        """Return the findings of some rows, (N, *spatial); empty where the model called another class."""
        masks = self.cases.masks_of([self.explained[row].position for row in rows])
        masks[[not self.explained[row].masked for row in rows]] = False
        return masks

    def maps(self, method: str, rows: Sequence[int] | None = None) -> Maps:
        """Return the primary's maps of some rows (all where left out), (N, *spatial).

        Raises:
            Unsuitable: the method has none.
        """
        maps = self.store.maps(PRIMARY, method)
        if maps is None:
            raise Unsuitable("This method does not fit the primary network.")
        return maps if rows is None else maps[list(rows)]

    def tuning_maps(self, method: str) -> tuple[Maps, Mask] | None:
        """Return maps and masks of the split fitted on; None where there are none."""
        maps = self.store.maps(TUNING, method)
        return None if maps is None else (maps, self.cases.masks_of([explained.position for explained in self.tuning]))

    def pairs(self, rows: Sequence[int], what: str) -> NullPairs:
        """Draw pairs of rows of different patients for whom the same class is explained.

        Raises:
            Refused: there are none.
        """
        return null_pairs(
            self.groups(rows), self.targets(rows), seed=seed_of("null pairs", what), count=self.settings.null_pairs
        )

    def segments(self, position: int) -> csr_array:
        """Return the segments of one case's input, (segments, pixels) bool."""
        if position not in self.segmented:
            self.segmented[position] = segments(self.cases.input_of(position).astype(np.float64))
        return self.segmented[position]

    def predict(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the primary's probabilities, (N, classes)."""
        return self.explainer.predict(self.primary, inputs)
