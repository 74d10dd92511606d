"""Measure how much of MONAI's model zoo the node reads as it is: every bundle's inference configuration.

``python -m tests.benchmarks.zoo --zoo DIR [--json] [--bundle NAME ...]``

DIR is a checkout of Project-MONAI/model-zoo, or its git directory. Of each bundle a row says whether the part of its
configuration that inference needs resolves, whether its preprocessing and its network are built from it (with random
weights: the zoo's are not fetched), what the preprocessing takes, which activation the postprocessing names; and where
something does not, the sentences why. Nothing of a bundle is run.
"""

import argparse
import json
import logging
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from inference.bundle.configs import Config
from inference.errors import BundleRefused

CLASSIFIERS = (
    "breast_density_classification", "classification_template", "endoscopic_inbody_classification",
    "pathology_tumor_detection",
)  # fmt: skip
"""Those of the zoo that give a class for an image and need nothing but the image."""
_CONFIG = re.compile(r"models/([^/]+)/configs/inference\.(?:json|yaml|yml)$")


@dataclass(frozen=True)
class Row:
    """What becomes of one bundle."""

    bundle: str
    file: str
    resolves: bool
    """All that inference needs, the inferer included."""
    preprocessing: str
    """array or dictionary, with the number of its steps; empty where it is not built."""
    network: str
    """Class and number of weights; empty where it is not built."""
    activation: str
    notes: tuple[str, ...]
    """Arguments that the node gives in place of the bundle's."""
    why_not: tuple[str, ...]
    """Sentences, without the name of the file."""


class Zoo:
    """The files of a checkout, or of the newest commit of a git directory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._is_checkout = (folder / "models").is_dir()

    def names(self) -> list[str]:
        """Return every path, sorted."""
        if self._is_checkout:
            found = (path.relative_to(self._folder).as_posix() for path in (self._folder / "models").rglob("*"))
            return sorted(found)
        return self._git("ls-tree", "-r", "--name-only", "HEAD").decode().splitlines()

    def read(self, name: str) -> bytes:
        """Return one file."""
        return (self._folder / name).read_bytes() if self._is_checkout else self._git("show", f"HEAD:{name}")

    def _git(self, *arguments: str) -> bytes:
        command = ["git", f"--git-dir={self._folder}", *arguments]
        return subprocess.run(command, check=True, capture_output=True).stdout


def rows(zoo: Zoo, only: Iterable[str] = ()) -> Iterator[Row]:
    """Look at every bundle, or at those named."""
    for name in zoo.names():
        match = _CONFIG.match(name)
        if match and (not only or match[1] in only):
            folder = name.rpartition("configs/")[0]
            yield look_at(
                match[1], name.removeprefix(folder), zoo.read(name), zoo.read(f"{folder}configs/metadata.json")
            )


def look_at(bundle: str, file: str, content: bytes, metadata: bytes) -> Row:
    """Read one configuration."""
    try:
        config = Config(content, file, metadata)
    except BundleRefused as error:
        return Row(bundle, file, False, "", "", "", (), (str(error),))
    why_not: dict[str, None] = {}

    def tried(act: Callable[[], object]) -> object:
        try:
            return act() or True
        except BundleRefused as error:
            for line in str(error).splitlines():
                sentence = line.removeprefix("  - ").removeprefix(f"{file}, ")
                if not sentence.endswith(" reasons:"):
                    why_not[sentence] = None
            return None

    resolves = tried(config.check) is not None
    preprocessing = tried(lambda: f"{config.preprocessing().kind}, {len(config.preprocessing().steps)}")
    network = tried(lambda: described(config))
    return Row(
        bundle, file, resolves, str(preprocessing or ""), str(network or ""), config.activation, config.notes,
        tuple(why_not),
    )  # fmt: skip


def described(config: Config) -> str:
    """Build the network and return its class and number of weights."""
    network = config.network("network_def")
    return f"{type(network).__name__}, {sum(weights.numel() for weights in network.parameters()):,}"


def summary(seen: list[Row]) -> dict[str, str]:
    """Return the shares that are printed below the table."""
    classifiers = [row for row in seen if row.bundle in CLASSIFIERS]

    def share(rows: list[Row], test: Callable[[Row], bool]) -> str:
        return f"{sum(map(test, rows))} of {len(rows)}"

    return {
        "configuration resolves": share(seen, lambda row: row.resolves),
        "configuration resolves and the network is built": share(seen, lambda row: row.resolves and bool(row.network)),
        "of the classifiers of an image, configuration resolves": share(classifiers, lambda row: row.resolves),
        "of them, the network is built": share(classifiers, lambda row: row.resolves and bool(row.network)),
    }


def main() -> None:
    """Print the table, or everything as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zoo", type=Path, required=True, help="checkout or git directory of the model zoo")
    parser.add_argument("--bundle", action="append", default=[], help="only this one; may be given several times")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    seen = list(rows(Zoo(arguments.zoo), arguments.bundle))
    if arguments.json:
        print(json.dumps({"summary": summary(seen), "bundles": [asdict(row) for row in seen]}, indent=2))
        return
    print("| bundle | resolves | preprocessing | network, weights | activation | why not |\n|---|---|---|---|---|---|")
    for row in seen:
        why_not = "; ".join(sentence.split(". ")[0] for sentence in row.why_not)
        cells = (row.bundle, "yes" if row.resolves else "no", row.preprocessing, row.network, row.activation, why_not)
        print(f"| {' | '.join(cell.replace('|', '/') or '-' for cell in cells)} |")
    for name, share in summary(seen).items():
        print(f"{name}: {share}")


if __name__ == "__main__":
    main()
