"""What a configuration asks for and does not get: collected, and said all at once."""

from dataclasses import dataclass, replace

from inference.errors import BundleRefused

MOST_OBJECTIONS = 100
"""More than these are not collected."""
LONGEST_KEY = 300
"""Characters of a key that a message shows."""


class CannotResolve(ValueError):
    """A value of a configuration that is not allowed or cannot be computed; says what to write instead."""

    def __init__(self, problem: str, cure: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.cure = cure


class LimitExceeded(CannotResolve):
    """Reading the configuration would take more steps or memory than any of ours may: nothing more of it is read."""


@dataclass(frozen=True)
class Objection:
    """One thing that cannot be used."""

    key: str
    """Where it stands, as MONAI writes it: ``preprocessing::transforms::0``."""
    problem: str
    cure: str

    @property
    def sentence(self) -> str:
        """Return key, problem and cure."""
        cure = f" {self.cure}" if self.cure else ""
        return f"key {self.key}: {self.problem}{'' if self.problem.endswith('.') else '.'}{cure}"


class Objections:
    """Those of one file, in the order they were met, each once."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._all: dict[Objection, None] = {}

    def add(self, key: str, error: CannotResolve) -> None:
        """Keep one."""
        if len(self._all) < MOST_OBJECTIONS:
            shown = key if len(key) <= LONGEST_KEY else f"{key[:LONGEST_KEY]}..."
            self._all[Objection(shown, error.problem, error.cure)] = None

    def raise_any(self) -> None:
        """Refuse the bundle where there is an objection.

        Raises:
            BundleRefused: its message lists every objection with key and reason, and every cure once.
        """
        sentences = []
        cures: set[str] = set()
        for objection in self._all:
            sentences.append(
                objection.sentence if objection.cure not in cures else replace(objection, cure="").sentence
            )
            cures.add(objection.cure)
        if len(sentences) == 1:
            raise BundleRefused(f"{self.file}, {sentences[0]}")
        if sentences:
            lines = "".join(f"\n  - {self.file}, {sentence}" for sentence in sentences)
            raise BundleRefused(f"{self.file} cannot be used for {len(sentences)} reasons:{lines}")
