"""Measure how much of MONAI's model zoo the node takes with nothing added but the manifest that `bundle init` wrote.

``python -m tests.benchmarks.zoo [--zoo DIR] [--mednist NOTEBOOK]... [--json] [--bundle NAME]...``

DIR is a checkout of Project-MONAI/model-zoo, or its git directory. Of each bundle its own configuration, metadata and
licence are copied, with random weights of its own network in the place of its checkpoint (the zoo's are not fetched).
Then follows what a user does: `bundle init`, `bundle seal`, loading. A row says that it loads, and
as what, or the sentence why not. A bundle that gives a mask is put, as `bundle init` says, as the localiser of a small
random classifier of the same input, whose weights and configuration are added, and sealed and loaded as that; its last
bias is lowered, since a random mask may mark everything. Nothing of a bundle is run.

NOTEBOOK is 02_mednist_classification.ipynb or 03_mednist_classification_v2.ipynb of Project-MONAI/tutorials: the cells
that write a file of the configuration are its bundle, as they are, once with weights and once with the program that the
tutorial saves. No other cell is used, and none is run.

What no file of a bundle says is answered here: `ANSWERS`.
"""

import argparse
import json
import logging
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn

from inference.bundle.bundle import CONFIGS, Bundle, load_bundle
from inference.bundle.configs import Config
from inference.bundle.dialect.pipeline import USUAL
from inference.errors import BundleRefused, HeatproofError
from inference.porting.beside import LOGIT_TOLERANCE, beside_monai
from inference.porting.files import COMMON, brought
from inference.porting.manifest_text import text_of
from inference.porting.metadata import Described, read_metadata
from inference.porting.proposal import GivesAMask, propose
from inference.porting.questions import Question
from inference.porting.seal import seal, tried_input
from inference.porting.series import channel_of
from inference.prepare import prepare
from inference.selection import select_stacks
from node.commands.image_study import write_image

CLASSIFIERS = (
    "breast_density_classification", "classification_template", "endoscopic_inbody_classification",
    "pathology_tumor_detection",
)  # fmt: skip
"""Those of the zoo that give a class for an image and need nothing but the image."""
ANSWERS = {"modality": "OT"}
"""To questions that a bundle's files leave open."""
WRITTEN = re.compile(r"%%writefile ([\w-]+)/configs/([\w.-]+)\n(.*)", re.DOTALL)
"""A notebook's cell that writes a file of a configuration."""
COPIED = re.compile(r"(configs/.*|LICENSE|large_files\.ya?ml)$")


@dataclass(frozen=True)
class Row:
    """What becomes of one bundle."""

    bundle: str
    loads: bool
    role: str
    """classifier or localiser, with shape of the input and number of outputs; empty where it does not load."""
    network: str
    """Class and number of weights; empty where it is not built."""
    beside: str
    """Of a classifier: the largest differences of input and logits from MONAI's own on a synthetic study, and by how
    many times the tolerance (1e-4, or their own difference where it is larger) the logits differ for the same study
    transposed, windowed, or with its channels in reverse."""
    seconds: float
    notes: tuple[str, ...]
    """What is used in another way than the bundle has it."""
    why_not: tuple[str, ...]
    """Sentences."""


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

    def bundles(self) -> list[str]:
        """Return the bundles that have metadata."""
        matches = (re.match(r"models/([^/]+)/configs/metadata\.json$", name) for name in self.names())
        return [match[1] for match in matches if match]

    def copy(self, bundle: str, folder: Path) -> None:
        """Copy what a bundle says of itself: not its weights, its scripts or its documents."""
        for name in self.names():
            inner = name.removeprefix(f"models/{bundle}/")
            if inner != name and COPIED.match(inner):
                (folder / inner).parent.mkdir(parents=True, exist_ok=True)
                (folder / inner).write_bytes(self.read(name))

    def _git(self, *arguments: str) -> bytes:
        command = ["git", f"--git-dir={self._folder}", *arguments]
        return subprocess.run(command, check=True, capture_output=True).stdout


def rows(zoo: Zoo, only: Iterable[str] = ()) -> Iterator[Row]:
    """Try every bundle, or those named."""
    for bundle in zoo.bundles():
        if not only or bundle in only:
            with TemporaryDirectory() as scratch:
                folder = Path(scratch) / bundle
                folder.mkdir()
                zoo.copy(bundle, folder)
                yield tried(folder)


def rows_of_notebook(path: Path) -> Iterator[Row]:
    """Try the bundle that a tutorial writes, with its weights and with its network as TorchScript."""
    for name in ("model.pt", "model.ts"):
        with TemporaryDirectory() as scratch:
            folder = written(path, Path(scratch))
            row = tried(folder, name)
            yield replace(row, bundle=f"{row.bundle} ({name})")


def written(notebook: Path, folder: Path) -> Path:
    """Write the files of a configuration that a notebook's cells write, and return the bundle's folder."""
    cells = json.loads(notebook.read_text())["cells"]
    sources = ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    matches = (WRITTEN.fullmatch(source) for source in sources)
    files = {f"{match[1]}/configs/{match[2]}": match[3] for match in matches if match}
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder / next(iter(files)).partition("/")[0]


def tried(folder: Path, weights: str = "model.pt") -> Row:
    """Do with a bundle's folder what a user does."""
    began, network = time.perf_counter(), ""
    notes: list[str] = []
    role, beside, why_not = "", "", tuple[str, ...]()
    with suppress(BundleRefused):  # what is wrong is said again, and in full, by what a user does
        network = with_random_weights(folder, weights)
    try:
        role = made_ready(folder, notes)
        beside = compared(load_bundle(folder)) if role.startswith("classifier") else ""
    except HeatproofError as error:
        why_not = tuple(line.removeprefix("  - ") for line in str(error).splitlines() if not line.endswith("reasons:"))
    seconds = time.perf_counter() - began
    return Row(folder.name, bool(role), role, network, beside, seconds, tuple(notes), why_not)


def with_random_weights(folder: Path, name: str) -> str:
    """Write random weights of the bundle's own network as its checkpoint; return its class and number of weights."""
    config = configuration(folder)
    config.check(preprocessing=next(iter(config.preprocessing_ids), USUAL))
    network = config.network("network_def")
    torch.manual_seed(1)
    network.apply(drawn_anew)
    for linear in [module for module in network.modules() if isinstance(module, nn.Linear)][-1:]:
        linear.weight.data *= 10  # so that the logits tell one image from another
    (folder / "models").mkdir()
    if name.endswith(".ts"):
        torch.jit.save(torch.jit.script(network.eval()), folder / "models" / name)
    else:
        torch.save(network.state_dict(), folder / "models" / name)
    return f"{type(network).__name__}, {sum(weights.numel() for weights in network.parameters()):,}"


def drawn_anew(module: nn.Module) -> None:
    """Draw weights that keep the variance through any depth: by torch's own a deep network gives the same for all."""
    if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.Linear)):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")


def configuration(folder: Path) -> Config:
    """Read a bundle's inference configuration; an empty one where MONAI's names for it are not among its files."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*")]
    return brought(folder).config if {*CONFIGS, *COMMON} & {*names} else Config(b"{}", CONFIGS[0])


def made_ready(folder: Path, notes: list[str]) -> str:
    """Initialise, seal and load; return as what it loads."""
    try:
        proposal = propose(folder, {}, lambda question: answer(question))
    except GivesAMask as mask:
        write_host(folder, mask)
    else:
        (folder / "bundle.toml").write_text(proposal.text)
        notes += proposal.notes
    seal(folder, notes.append)
    bundle = load_bundle(folder)
    taken = " x ".join(map(str, (bundle.manifest.input.channel_count, *bundle.manifest.input.spatial_size)))
    localiser = bundle.manifest.localiser
    if localiser is None:
        return f"classifier of {taken}, {len(bundle.manifest.classes)} {bundle.manifest.activation}"
    return f"localiser of {taken}, {localiser.activation}, findings {list(localiser.channels)}"


def compared(bundle: Bundle) -> str:
    """Hold input and logits of a synthetic study beside MONAI's own, and beside those of a study wrongly read."""
    synthetic, _ = tried_input(bundle)
    with TemporaryDirectory() as scratch:
        selection = select_stacks(write_image(synthetic, Path(scratch)), bundle)
        (image,) = selection.reading.images
        given = prepare(bundle, image)
        found = beside_monai(bundle, image, given)
    low, high = np.percentile(image.values, (30, 70))
    windowed = prepare(bundle, replace(image, values=image.values.clip(low, high)))
    wrong = {"transposed": given.tensor.transpose(-1, -2), "windowed": windowed.tensor}
    if given.tensor.shape[1] == 3 and image.colour:
        wrong["channels reversed"] = given.tensor.flip(1)
    module = bundle.primary().module
    with torch.inference_mode():
        right = module(given.tensor)
        apart = {name: float((module(tensor) - right).abs().max()) for name, tensor in wrong.items()}
    least = max(found.logit_difference, LOGIT_TOLERANCE)
    times = ", ".join(f"{name} {difference / least:.0f} times" for name, difference in apart.items())
    return f"{found.reader}: input {found.input_difference:.1g}, logits {found.logit_difference:.1g}; {times}"


def write_host(folder: Path, mask: GivesAMask) -> None:
    """Write what makes the bundle the localiser of a small random classifier of the same input."""
    shown, config = mask.shown, configuration(folder)
    size, dimensions = list(shown.spatial_size), shown.dimensions
    (key,) = config.preprocessing().keys[:1] or ("",)
    cut = {"_target_": "ResizeWithPadOrCropd" if key else "ResizeWithPadOrCrop", "spatial_size": size}
    host = {
        "classifier_def": {
            "_target_": "DenseNet", "spatial_dims": dimensions, "in_channels": shown.channels, "out_channels": 2,
            "init_features": 4, "growth_rate": 2, "block_config": [1, 1],
        },
        "cut": {"_target_": "Compose", "transforms": ["@preprocessing", cut | ({"keys": key} if key else {})]},
    }  # fmt: skip
    (folder / "configs" / "host.json").write_text(json.dumps(host))
    classifier = Config(json.dumps(host).encode(), "host.json").network("classifier_def")
    torch.save(classifier.state_dict(), folder / "models" / "classifier.pt")
    quiet(folder / "models" / "model.pt", shown.output[0], mask.findings)
    inference = next(name for name in CONFIGS if (folder / name).is_file())
    said = read_metadata(metadata(folder))
    tree = {
        "name": "host", "version": "1", "title": folder.name, "kind": "volume" if dimensions == 3 else "projection",
        "activation": "softmax", "intended_use": "benchmark", "not_for": "use", "licence": "none",
        "training_data": "none",
        "input": {
            "modality": [said.modality or ANSWERS["modality"]],
            "channels": shown.channels, "spatial_size": size, **sources_of(said, shown.channels),
        },
        "classes": [{"name": "none", "finding": False}, {"name": "finding", "finding": True}],
        "configuration": {"files": [inference, "configs/host.json"], "preprocessing": "cut"},
        "primary": {"file": "models/classifier.pt", "network": "classifier_def"},
        "localiser": {
            "file": "models/model.pt", "activation": mask.activation, "channels": list(mask.findings),
        },
    }  # fmt: skip
    (folder / "bundle.toml").write_text(text_of(tree, {}))


def sources_of(said: Described, channels: int) -> dict[str, Any]:
    """Return where several channels come from, as `[input]` has it."""
    if said.in_colour:
        return {"colour": True}
    if channels == 1:
        return {}
    names = said.channel_names if len(set(said.channel_names)) == channels else map(str, range(channels))
    return {"channels": [channel_of(name) for name in names]}


def quiet(path: Path, channels: int, findings: Iterable[int]) -> None:
    """Lower the last bias of a random mask for the findings: one that marks everything would be no localiser."""
    weights = torch.load(path, weights_only=True)
    last = [name for name, tensor in weights.items() if name.endswith("bias") and tensor.shape == (channels,)][-1:]
    for name in last:
        weights[name][list(findings)] = -9.0
    torch.save(weights, path)


def metadata(folder: Path) -> dict[str, Any]:
    """Return what configs/metadata.json holds."""
    return dict(json.loads((folder / "configs" / "metadata.json").read_text()))


def answer(question: Question) -> str:
    """Answer what no file says; leave the rest to its default."""
    return "" if question.default else ANSWERS.get(question.key, "")


def summary(seen: list[Row]) -> dict[str, str]:
    """Return the shares that are printed below the table."""

    def share(rows: list[Row], role: str) -> str:
        return f"{sum(row.role.partition(' ')[0] == role for row in rows)} of {len(rows)}"

    return {
        "loads with nothing but the manifest": share(seen, "classifier"),
        "of the four classifiers of an image": share([row for row in seen if row.bundle in CLASSIFIERS], "classifier"),
        "loads as the localiser of a classifier that is put beside it": share(seen, "localiser"),
        "does not load": share(seen, ""),
    }


def main() -> None:
    """Print the table, or everything as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zoo", type=Path, help="checkout or git directory of the model zoo")
    parser.add_argument("--mednist", type=Path, action="append", default=[], help="notebook of MedNIST's tutorial")
    parser.add_argument("--bundle", action="append", default=[], help="only this one; may be given several times")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    seen = []
    if not arguments.json:
        print("| bundle | loads | as | network, weights | beside MONAI | why not |\n|---|---|---|---|---|---|")
    of_zoo = rows(Zoo(arguments.zoo), arguments.bundle) if arguments.zoo else ()
    for row in chain(of_zoo, *map(rows_of_notebook, arguments.mednist)):
        seen.append(row)
        if not arguments.json:
            loads = {"classifier": "yes", "localiser": "beside a classifier"}.get(row.role.partition(" ")[0], "no")
            why_not = " ".join(row.why_not)
            cells = (row.bundle, loads, row.role, row.network, row.beside, why_not)
            print(f"| {' | '.join(cell.replace('|', '/') or '-' for cell in cells)} |", flush=True)
    if arguments.json:
        print(json.dumps({"summary": summary(seen), "bundles": [asdict(row) for row in seen]}, indent=2))
        return
    for name, share in summary(seen).items():
        print(f"{name}: {share}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << (20 if sys.platform == "linux" else 30))
    print(f"{sum(row.seconds for row in seen):.0f} s, {peak:.1f} GiB at most")


if __name__ == "__main__":
    main()
