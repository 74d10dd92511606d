"""The manifest of a bundle that has none: from its metadata, its configuration and one pass through its network."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from inference.bundle.bundle import CONFIGS
from inference.bundle.dialect.pipeline import USUAL
from inference.bundle.digests import MANIFEST, manifest_of
from inference.bundle.manifest import Manifest, parse_manifest
from inference.bundle.manifest_input import GREY_AS_RGB
from inference.bundle.script.archive import is_script, read_script
from inference.errors import BundleRefused
from inference.porting.files import Brought, brought
from inference.porting.manifest_text import text_of
from inference.porting.metadata import NORMAL, Described
from inference.porting.probe import Probed, input_of, probe
from inference.porting.questions import Answers, Ask, Question
from inference.porting.series import channel_of
from inference.porting.trial import Tried, tried

MODALITIES = ("CT", "MR", "PT", "CR", "DX", "MG", "US", "ES", "SM", "OP", "XC", "OT")
IN_COLOUR = ("ES", "SM", "OP", "XC")
"""Modalities whose images have red, green and blue."""
SCRIPT = "models/model.ts"
"""Where the zoo has a network as TorchScript."""
OF_SERIES = ("CT", "MR", "PT")
"""Modalities whose studies are series of planes."""
_NOT_SAID = "not said by configs/metadata.json"


@dataclass(frozen=True)
class Proposal:
    """What ``heatproof bundle init`` writes."""

    text: str
    manifest: Manifest
    notes: tuple[str, ...]
    """What is used in another way than the bundle has it, and what contradicts itself."""


def propose(folder: Path, given: Mapping[str, str], ask: Ask = lambda _: "") -> Proposal:
    """Propose the manifest of a bundle.

    Args:
        folder: of a MONAI bundle, as it was downloaded.
        given: answers given beforehand, by the keys of their questions.
        ask: asks a person what neither the files nor ``given`` say.

    Raises:
        BundleRefused: it has a manifest; its configuration cannot be used; it has no weights; it gives no class for an
            image; or a question is left open.
        UnknownName: an answer is for no question.
    """
    if present := manifest_of(folder):
        raise BundleRefused(f"{folder.name} has a manifest: {present}.", cure="Edit it, or remove it first.")
    answers = Answers(given, ask)
    files = brought(folder, tuple(filter(None, given.get("configuration", "").split(","))))
    key = _preprocessing(files, answers)
    network, where = _network(files, key, answers)
    through = tried(files.config, key, *input_of(network, where))
    shown = probe(network, through.spatial_size or files.described.spatial_size, where)
    if not shown.classes:
        raise _refused(folder.name, shown, files)
    tree, comments = _tree(files, shown, through, answers)
    answers.raise_open(folder.name)
    text = _HEAD.format(name=MANIFEST) + text_of(tree, comments)
    contradictions = _contradictions(files.described, shown, through)
    return Proposal(text, parse_manifest(text.encode()), (*files.config.notes, *contradictions))


_HEAD = """# {name}: what this bundle is for, and how its networks take an image.
# Proposed by `heatproof bundle init`; every key: deploy/guide/manifest.md. Read the comments, then
# `heatproof bundle check` and `heatproof bundle seal`.

"""


def _preprocessing(files: Brought, answers: Answers) -> str:
    """Return the id of the preprocessing; where none is found, that of MONAI's convention, which is then missed."""
    ids = files.config.preprocessing_ids
    if len(ids) < 2 and not answers.is_given("preprocessing"):
        return ids[0] if ids else USUAL
    text = f"Id of the transforms that are used for inference, among: {', '.join(ids)}"
    return answers.answer(Question("preprocessing", text)) or ids[0]  # an open question is said with the others


def _network(files: Brought, key: str, answers: Answers) -> tuple[nn.Module, str]:
    """Build the network whose weights are there; of TorchScript its own, whatever the configuration has."""
    file = _weights(files, answers) if files.weights else ""
    if file and is_script(files.folder / file):
        files.config.check((), key)
        where = f"{files.folder.name}: {file}"
        return read_script((files.folder / file).read_bytes(), where).requires_grad_(False), where
    try:
        files.config.check(preprocessing=key)
    except BundleRefused as error:
        raise BundleRefused(str(error), cure=_what_else(files)) from error
    where = f"{files.folder.name}: network_def"
    return files.config.network("network_def").eval().requires_grad_(False), where


def _what_else(files: Brought) -> str:
    """Say of a bundle whose configuration cannot be used what it is, and whether there is another way."""
    words = {
        "mask": "By configs/metadata.json it gives a mask: no classifier, but it can be the localiser of one.",
        "image": "By configs/metadata.json it gives an image: there is no class to explain.",
    }
    other = ""
    if SCRIPT in files.names:
        other = f"{SCRIPT} holds the network with its program: --set weights={SCRIPT} takes that."
    elif SCRIPT in files.offered:
        other = f"The zoo has the network with its program as {SCRIPT}, which needs no network_def."
    return " ".join(filter(None, (words.get(files.described.gives, ""), other)))


class GivesAMask(BundleRefused):
    """A bundle whose network marks pixels: no classifier, but the localiser of one."""

    def __init__(self, name: str, shown: Probed, activation: str, findings: tuple[int, ...]) -> None:
        super().__init__(
            f"{name} gives a mask of its input ({shown.output[0]} channels), not a class: it can be the localiser of a "
            "classifier that takes the same input.",
            cure="Put its weights and network into that bundle, and into its manifest: "
            f'[localiser] file = "models/localiser.pt", network = "localiser_def", activation = "{activation}", '
            f"channels = {list(findings)}.",
        )
        self.shown = shown
        self.activation = activation
        self.findings = findings


def _refused(name: str, shown: Probed, files: Brought) -> BundleRefused:
    if not shown.is_mask:
        return BundleRefused(
            f"{name} gives an output of shape (1, {', '.join(map(str, shown.output))}), which is neither one number a "
            "class nor a mask of the input: it cannot be explained here."
        )
    names = files.described.class_names
    count = shown.output[0]
    findings = tuple(place for place, label in enumerate(names[:count]) if not NORMAL.search(label))
    is_exclusive = files.config.activation != "sigmoid" and count > 1 and len(findings) in (0, count - 1)
    return GivesAMask(name, shown, "softmax" if is_exclusive else "sigmoid", findings or tuple(range(count > 1, count)))


def _tree(files: Brought, shown: Probed, through: Tried, answers: Answers) -> tuple[dict[str, Any], dict[str, str]]:
    said, comments = files.described, dict[str, str]()
    modality = answers.answer(Question("modality", "Modality (0008,0060) of the images", MODALITIES, said.modality))
    kind = "volume" if shown.dimensions == 3 else answers.answer(
        Question(
            "kind", "slices: every plane of a series; projection: single images", ("slices", "projection"),
            "slices" if modality in OF_SERIES else "projection",
        )
    )  # fmt: skip
    classes, activation = _classes(files, shown, answers, comments)
    tree: dict[str, Any] = {
        "name": re.sub(r"[^a-z0-9_]+", "_", files.folder.resolve().name.lower()).strip("_")[:64] or "bundle",
        "version": said.version or "0",
        "title": said.title or files.folder.name,
        "kind": kind,
        "activation": activation,
        "method": "gradcam" if shown.layer else "integrated_gradients",
        "intended_use": said.intended_use or "Research. Not for diagnostic use.",
        "not_for": "Diagnosis; images of another kind than those it was trained on.",
        "licence": files.licence or "see LICENSE",
        "training_data": said.data_source or _NOT_SAID,
        "input": _input(files, shown, through, modality, answers, comments),
        "classes": classes,
        "primary": {"file": _weights(files, answers)} | ({"layer": shown.layer} if shown.layer else {}),
    }
    key = _preprocessing(files, answers)
    usual = files.configuration == tuple(name for name in CONFIGS if name in files.names)[:1]
    if not usual or key != USUAL:
        tree["configuration"] = {"files": list(files.configuration), "preprocessing": key}
    if not shown.layer:
        comments["method"] = "The network has no feature map to take class activation maps from."
    if "activation" in answers.assumed:
        comments["activation"] = f"Assumed: {_NOT_SAID}, nor by the configuration."
    if "kind" in answers.assumed:
        comments["kind"] = "Assumed from the modality."
    return tree, comments


def _input(
    files: Brought, shown: Probed, through: Tried, modality: str, answers: Answers, comments: dict[str, str]
) -> dict[str, Any]:
    said = files.described
    size = through.spatial_size or shown.spatial_size
    if not through.spatial_size and not said.spatial_size:
        numbers = "x".join(map(str, size))
        text = "Size that the network takes; the preprocessing leaves the size of the image as it is"
        answered = answers.answer(Question("size", f"{text} (as {numbers})", default=numbers)).split("x")
        size = tuple(int(side) for side in answered if side.isdigit())
    comments["input"] = "body_part, plane, description_contains: say which series of this modality are meant."
    entry: dict[str, Any] = {"modality": [modality], "channels": shown.channels, "spatial_size": list(size)}
    if "modality" in answers.assumed and said.modality:
        comments["input.modality"] = "As the texts of configs/metadata.json say."
    if not through.spatial_size:
        comments["input.spatial_size"] = "The preprocessing gives no size: images of another size are not taken."
    likely_series = len(set(said.channel_names)) == shown.channels > 1 and not said.in_colour
    if shown.channels == 3 and shown.dimensions == 2 and not likely_series:
        likely = "colour" if modality in IN_COLOUR or (modality == "OT" and said.in_colour) else "grey"
        text = "The network's 3 channels: colour, a grey image three times, or a plane with its neighbours"
        answer = answers.answer(Question("colour", text, ("colour", "grey", "neighbours"), likely))
        sources: dict[str, dict[str, Any]] = {
            "colour": {"colour": True}, "grey": {"colour": GREY_AS_RGB}, "neighbours": {"neighbours": 1},
        }  # fmt: skip
        entry |= sources[answer]
    elif shown.channels > 1:
        entry |= _several(files, shown, answers, comments)
    return entry


def _several(files: Brought, shown: Probed, answers: Answers, comments: dict[str, str]) -> dict[str, Any]:
    """Return where several channels that are no colour come from."""
    said, keys = files.described, files.config.preprocessing(_preprocessing(files, answers)).keys
    has_middle = shown.dimensions == 2 and shown.channels % 2 == 1
    choices = ("series", "neighbours") if has_middle else ("series",)
    is_named = len(set(said.channel_names)) == shown.channels
    text = f"The network's {shown.channels} channels: several series, or neighbouring planes"
    likely = "series" if is_named or not has_middle else "neighbours"
    if answers.answer(Question("channels", text, choices, likely)) == "neighbours":
        return {"neighbours": shown.channels // 2}
    names = said.channel_names if is_named else tuple(f"channel {place}" for place in range(shown.channels))
    keyed = keys if len(keys) == shown.channels else ("",) * shown.channels
    comments["input.channels"] = (
        "A series for each channel, the one that findings are shown on first: correct the words of their descriptions."
    )
    return {"channels": [channel_of(name, key) for name, key in zip(names, keyed, strict=True)]}


def _classes(
    files: Brought, shown: Probed, answers: Answers, comments: dict[str, str]
) -> tuple[list[dict[str, Any]], str]:
    names = files.described.class_names
    if len(names) != shown.classes:
        comments["classes"] = f"The network gives {shown.classes}; configs/metadata.json names {len(names)}."
        names = tuple(f"class {place}" for place in range(shown.classes))
    activation = files.config.activation if files.config.activation in ("softmax", "sigmoid") else ""
    if shown.classes == 1:
        activation = "sigmoid"
    activation = activation or answers.answer(
        Question(
            "activation", "softmax: one class an image; sigmoid: each by itself", ("softmax", "sigmoid"), "softmax"
        )
    )
    likely = [name for name in names if not NORMAL.search(name)] or list(names)
    answered = answers.answer(Question("findings", f"Findings among: {', '.join(names)}", default=", ".join(likely)))
    findings = set(_named(answered, names))
    if strangers := findings - set(names):
        raise BundleRefused(f"findings: {', '.join(sorted(strangers))} are no classes; there are: {', '.join(names)}.")
    if activation == "softmax" and len(names) > 2:
        several = "A class is called from its threshold on, 0.5 where none is written: of several none may reach it."
        comments["classes"] = " ".join(filter(None, (comments.get("classes", ""), several)))
    if "findings" in answers.assumed:
        comments["classes"] = " ".join(
            filter(None, (comments.get("classes", ""), "Which are findings is assumed from their names."))
        )
    return [{"name": name, "finding": name in findings} for name in names], activation


def _named(answered: str, names: Sequence[str]) -> Iterator[str]:
    """Yield the names in an answer, separated by commas; a name may have commas of its own."""
    parts = answered.split(",")
    while parts:
        count = next((n for n in range(len(parts), 1, -1) if ",".join(parts[:n]).strip() in names), 1)
        yield ",".join(parts[:count]).strip()
        del parts[:count]


def _weights(files: Brought, answers: Answers) -> str:
    if not files.weights:
        raise BundleRefused(files.without_weights)
    choices = tuple(dict.fromkeys((*files.weights, *(name for name in (SCRIPT,) if name in files.names))))
    return answers.answer(Question("weights", "Weights of the network", choices, files.usual_weights))


def _contradictions(said: Described, shown: Probed, through: Tried) -> tuple[str, ...]:
    """Say where metadata.json is at odds with what the network and the preprocessing show: those are followed."""
    pairs = (
        ("num_channels of the input is", said.channels, "network_def takes", shown.channels),
        ("spatial_shape is", said.spatial_size or None, "the preprocessing gives", through.spatial_size or None),
        ("channel_def of the output names", len(said.class_names) or None, "network_def gives", shown.classes),
    )
    notes = [
        f"configs/metadata.json: {what} {claimed}; {who} {true}."
        for what, claimed, who, true in pairs
        if claimed is not None and true is not None and claimed != true
    ]
    if through.channels not in (1, shown.channels):
        notes.append(f"The preprocessing gives {through.channels} channels; network_def takes {shown.channels}.")
    return tuple(notes)
