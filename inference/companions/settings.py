"""What a site may choose about the companions of its network."""

from dataclasses import asdict, dataclass
from typing import Literal

from inference.errors import UnknownName

AUTO, NONE = "auto", "none"
Start = Literal["given", "scratch"]
Kind = Literal["replicate", "alternate", "localiser", "guided"]
Device = str


@dataclass(frozen=True)
class CompanionSettings:
    """How companions are trained; everything here shapes their weights."""

    replicates: int = 2
    alternate: str = AUTO
    """A name of ``architectures.ALTERNATES``; auto: of another family, nearest in size to the primary; none."""
    localiser: str = AUTO
    """unet, segresnet; auto: a U-Net where there are masks; none."""
    guide: bool = False
    """Whether the primary is fine-tuned so that its class activation map lies in the masks."""
    start: Start = "given"
    """Where replicates begin: the primary's weights with the head drawn anew, or an architecture's random ones."""
    splits: tuple[str, ...] = ("train",)
    """Whose patients are trained on; none of them may be commissioned with."""
    hours: float | None = None
    """Epochs are cut so that all trainings together fit; None: as many as each kind has by default."""
    epochs: int | None = None
    """Of every training, in place of each kind's own number."""
    device: Device = "auto"
    seed: int = 1

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            UnknownName: one is out of range.
        """
        if not 0 <= self.replicates <= 8:
            raise UnknownName(f"{self.replicates} is not a valid number of replicates.", cure="Choose 0 to 8.")
        if self.hours is not None and self.hours <= 0:
            raise UnknownName("--hours must be above 0.", cure="Leave it out to train without a limit.")

    def words(self) -> str:
        """Return all of it as one line: part of the key of unfinished work."""
        return repr(sorted(asdict(self).items()))


@dataclass(frozen=True)
class Schedule:
    """How long and how fast one network is trained."""

    epochs: int
    """At most."""
    batch: int
    """Images of one step."""
    learning_rate: float
    """The highest, reached after a tenth of the steps; from there it falls to zero as a cosine."""
    patience: int
    """Epochs without a better loss on the early-stopping patients after which the training ends."""


BATCH = {2: 8, 3: 2}
"""Images of a step by the dimensions of the input; fewer where the memory is short."""
SCHEDULES: dict[tuple[Kind, Start], Schedule] = {
    ("replicate", "given"): Schedule(epochs=24, batch=8, learning_rate=5e-4, patience=6),
    ("replicate", "scratch"): Schedule(epochs=60, batch=8, learning_rate=2e-3, patience=12),
    ("alternate", "scratch"): Schedule(epochs=60, batch=8, learning_rate=2e-3, patience=12),
    ("localiser", "scratch"): Schedule(epochs=60, batch=8, learning_rate=2e-3, patience=12),
    ("guided", "given"): Schedule(epochs=24, batch=8, learning_rate=5e-4, patience=6),
}
FEWEST_EPOCHS = 4
"""Below this no training is begun, however few hours are given."""
