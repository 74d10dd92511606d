"""What the steps of one job hand to each other, as files in the job's folder."""

from dataclasses import dataclass
from pathlib import Path

from inference import archive
from inference.findings import Classification
from inference.reading.image import Image
from inference.saliency.engine.maps import SaliencyMap
from inference.selection import StudySelection
from inference.trust.statement import Statement
from inference.trust.verdict import Trust


@dataclass(frozen=True)
class StepFiles:
    """The files of one job; a step that is run again writes them again under the same names."""

    folder: Path

    def keep(self, name: str, value: object) -> None:
        """Write what a step gives; ``name`` is that of the property that reads it."""
        archive.save(value, self.folder, name)

    @property
    def has_account(self) -> bool:
        """Whether the study has been read, analysed or not."""
        return (self.folder / "account.json").is_file()

    @property
    def account(self) -> StudySelection:
        """What became of every instance, without pixels."""
        return archive.load(StudySelection, self.folder, "account")

    @property
    def images(self) -> tuple[Image, ...]:
        """The stacks that are analysed."""
        return archive.load(tuple[Image, ...], self.folder, "images")

    @property
    def classifications(self) -> tuple[Classification, ...]:
        """One for each stack."""
        return archive.load(tuple[Classification, ...], self.folder, "classifications")

    @property
    def assessed(self) -> tuple[tuple[SaliencyMap, ...], ...]:
        """The maps of each stack's findings, in their order: those shown are among them.

        A job that was explained by a release that assessed only what it showed has those.
        """
        name = "assessed" if (self.folder / "assessed.json").is_file() else "maps"
        return archive.load(tuple[tuple[SaliencyMap, ...], ...], self.folder, name)

    @property
    def maps(self) -> tuple[tuple[SaliencyMap, ...], ...]:
        """Those of each stack that are shown."""
        return archive.load(tuple[tuple[SaliencyMap, ...], ...], self.folder, "maps")

    @property
    def trusts(self) -> tuple[tuple[Trust, ...], ...]:
        """One for each map."""
        return archive.load(tuple[tuple[Trust, ...], ...], self.folder, "trusts")

    @property
    def statements(self) -> tuple[Statement, ...]:
        """One for each stack."""
        return archive.load(tuple[Statement, ...], self.folder, "statements")
