"""Everything that can be said of a bundle before it is sealed, at once: nothing stops at the first fault."""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch

from inference.bundle.bundle import Bundle
from inference.bundle.digests import MANIFEST, digest_files, manifest_of
from inference.bundle.manifest import parse_manifest
from inference.errors import BundleRefused, HeatproofError
from inference.porting.beside import NotComparable, beside_monai
from inference.porting.files import brought
from inference.porting.nifti import beside_nifti, cause_of, reads_nifti
from inference.porting.seal import check_mask, check_output, tried_input
from inference.prepare import ModelInput, prepare
from inference.reading.image import Image
from inference.saliency import method_named
from inference.saliency.engine.layers import choose_layer
from inference.selection import select_stacks

State = Literal["good", "note", "wrong"]
Write = Callable[[Image], Sequence[Path]]
"""Writes a stack as DICOM files and returns them."""

SMALLEST_SPAN = 0.05
"""Of the values of an input, as a share of the largest: with less it is nearly constant."""


@dataclass(frozen=True)
class Checked:
    """One thing that was looked at."""

    part: str
    """manifest, configuration, weights, preprocessing, network, layer, localiser, study, beside MONAI (on NIfTI)."""
    state: State
    sentence: str

    def as_dict(self) -> dict[str, str]:
        """Return what ``heatproof bundle check --json`` prints of it."""
        return asdict(self)


def check(folder: Path, write: Write, study: Sequence[Path] = ()) -> Iterator[Checked]:
    """Look at a bundle, sealed or not.

    Args:
        folder: of the bundle.
        write: writes the synthetic stack, which MONAI's own reader then reads.
        study: DICOM files of a study of the kind the bundle is meant for; empty: none is tried.
    """
    bundle = yield from _loaded(folder)
    if bundle is None:
        return
    yield from _weights(bundle)
    try:
        synthetic, given = tried_input(bundle)
    except HeatproofError as error:
        yield Checked("preprocessing", "wrong", str(error))
    else:
        yield Checked(
            "preprocessing", "good", f"Synthetic {_size(synthetic)} {synthetic.modality}: {_described(given)}."
        )
        yield from _networks(bundle, synthetic, given)
        yield from _study(bundle, write(synthetic), "synthetic study")
    if study:
        yield from _study(bundle, study, "study")
    yield from (Checked("configuration", "note", note) for note in bundle.notes)


def _loaded(folder: Path) -> Generator[Checked, None, Bundle | None]:
    """Load an unsealed bundle; where it has faults, look at manifest and configuration each by itself."""
    try:
        bundle = Bundle(folder, digest_files(folder))
        method_named(bundle.manifest.method)
    except HeatproofError as error:
        faults = list(_faults(folder))
        yield from faults or [Checked("manifest", "wrong", str(error))]
        return None
    yield Checked("manifest", "good", f"{bundle.manifest.title}, {bundle.manifest.kind}.")
    yield Checked("configuration", "good", "All that inference needs is resolved.")
    return bundle


def _faults(folder: Path) -> Iterator[Checked]:
    name = manifest_of(folder)
    files: Sequence[str] = ()
    networks: Sequence[str] = ("network_def",)
    key = "preprocessing"
    if not name:
        yield Checked("manifest", "wrong", f"There is no {MANIFEST}. Write one: heatproof bundle init {folder.name}")
    else:
        try:
            manifest = parse_manifest((folder / name).read_bytes(), name=name)
        except BundleRefused as error:
            yield Checked("manifest", "wrong", str(error))
        else:
            files, networks, key = manifest.configuration.files, manifest.networks, manifest.configuration.preprocessing
            for file in manifest.files:
                if not (folder / file).is_file():
                    yield Checked("weights", "wrong", f"{file} is named in {name} but is not there.")
    try:
        brought(folder, files).config.check(networks, key)
    except BundleRefused as error:
        yield Checked("configuration", "wrong", str(error))


def _weights(bundle: Bundle) -> Iterator[Checked]:
    loads: list[tuple[str, Callable[[], object]]] = [
        ("primary", bundle.primary), ("replicates", bundle.replicates), ("alternates", bundle.alternates),
        ("localiser", bundle.localiser), ("null inputs", bundle.null_inputs),
    ]  # fmt: skip
    for name, load in loads:
        try:
            load()
        except HeatproofError as error:
            yield Checked("weights", "wrong", f"{name}: {error}")
    entry = bundle.manifest.primary
    try:
        parameters = sum(weights.numel() for weights in bundle.primary().module.parameters())
    except HeatproofError:
        return
    yield Checked("weights", "good", f"{entry.file} fits {entry.network}: {parameters:,} weights.")


def _networks(bundle: Bundle, image: Image, given: ModelInput) -> Iterator[Checked]:
    try:
        output = check_output(bundle.primary(), bundle, given)
        shown = ", ".join(f"{value:.4g}" for value in output[0, :8].tolist())
        yield Checked("network", "good", f"Logits of the synthetic image: {shown}.")
    except HeatproofError as error:
        yield Checked("network", "wrong", str(error))
        return
    if method_named(bundle.manifest.method).needs_layer:
        network = bundle.primary()
        try:
            layer = choose_layer(network.module, given.tensor[:1], network.layer)
            yield Checked("layer", "good", f"{bundle.manifest.method} reads {layer}.")
        except HeatproofError as error:
            yield Checked("layer", "wrong", str(error))
    localiser = bundle.localiser()
    if localiser is not None:
        try:
            share = check_mask(localiser, bundle, image)
            sentence = f"{localiser.file} gives a mask of the input, and marks {share:.0%} of the air around a body."
            yield Checked("localiser", "good", sentence)
        except HeatproofError as error:
            yield Checked("localiser", "wrong", str(error))


def _study(bundle: Bundle, paths: Sequence[Path], name: str) -> Iterator[Checked]:
    try:
        selection = select_stacks(paths, bundle)
    except HeatproofError as error:
        yield Checked(name, "wrong", str(error))
        return
    reasons = [stack.reason for stack in selection.declined]
    reasons += [entry.reason for entry in selection.reading.instances if entry.reason and not reasons]
    if not selection.reading.images:
        yield Checked(name, "wrong", " ".join(dict.fromkeys(reasons)) or "Nothing of it is analysed.")
    for image in selection.reading.images:
        yield from _stack(bundle, image, name)


def _stack(bundle: Bundle, image: Image, name: str) -> Iterator[Checked]:
    try:
        given = prepare(bundle, image)
        with torch.inference_mode():
            logits = bundle.primary().module(given.tensor[:1])
    except HeatproofError as error:
        yield Checked(name, "wrong", str(error))
        return
    shown = ", ".join(f"{value:.4g}" for value in logits[0, :8].tolist())
    yield Checked(name, "good", f"{_size(image)} {image.modality}: {_described(given)}; logits {shown}.")
    if _is_nearly_constant(given):
        sentence = (
            "The input is nearly constant. Are input.values and the transforms of intensity meant for each other?"
        )
        yield Checked(name, "wrong", sentence)
    try:
        compared = beside_monai(bundle, image, given)
        yield Checked(f"{name}, beside MONAI", "good" if compared.is_same else "wrong", _capital(compared.sentence))
    except NotComparable as error:
        yield Checked(f"{name}, beside MONAI", "note", str(error))
    if reads_nifti(bundle):
        yield _as_nifti(bundle, image, given, f"{name}, beside MONAI on NIfTI")


def _as_nifti(bundle: Bundle, image: Image, given: ModelInput, part: str) -> Checked:
    """Compare with what MONAI reads of NIfTI files; a difference may be the converter's, and is a note."""
    try:
        compared = beside_nifti(bundle, image, given)
    except NotComparable as error:
        return Checked(part, "note", str(error))
    sentence = f"{_capital(compared.sentence)} {cause_of(bundle, compared)}".rstrip()
    return Checked(part, "good" if compared.is_same else "note", sentence)


def _described(given: ModelInput) -> str:
    tensor = given.tensor
    shape = " x ".join(map(str, tensor.shape[1:]))
    return (
        f"input {shape}, values {float(tensor.min()):.4g} to {float(tensor.max()):.4g}, mean {float(tensor.mean()):.4g}"
    )


def _is_nearly_constant(given: ModelInput) -> bool:
    least, most = float(given.tensor.min()), float(given.tensor.max())
    return most - least < SMALLEST_SPAN * max(abs(least), abs(most))


def _size(image: Image) -> str:
    return " x ".join(map(str, image.values.shape[:3]))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
