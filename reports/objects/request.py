"""What every writer of an object takes: one analysed series, and when and in place of what its results are made."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from pydicom.dataset import Dataset

from inference.analysis import Analysis
from reports.explained import ExplainedPlane
from reports.objects.library import InstanceReference
from reports.objects.uids import ResultUids


@dataclass(frozen=True, eq=False)
class WriteRequest:
    """The results of one analysis that are to be written."""

    analysis: Analysis
    planes: tuple[ExplainedPlane, ...]
    """The explanations of the analysis, in its order."""
    source: Dataset
    """Header of one instance of the series."""
    created: datetime
    """When the result was made; the same moment gives the same bytes."""
    predecessors: tuple[InstanceReference, ...] = ()
    """Earlier reports of the same study, made before all images were received, that this result replaces."""
    missing: str = ""
    """What the study lacks, although it was expected."""
    account: tuple[str, ...] = ()
    """Sentences on what became of every instance of the study."""

    @cached_property
    def in_order(self) -> tuple[ExplainedPlane, ...]:
        """The explanations in the order of their slices, and of their classes on one slice."""
        return tuple(sorted(self.planes, key=lambda plane: (plane.map.frame, plane.map.finding.label, plane.index)))

    def number_of(self, explained: ExplainedPlane) -> int:
        """Return the place of an explanation in the order of the slices, from 1."""
        return 1 + next(place for place, other in enumerate(self.in_order) if other.index == explained.index)

    @property
    def uids(self) -> ResultUids:
        """UIDs of everything written."""
        return ResultUids.of_analysis(self.analysis)
