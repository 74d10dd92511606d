"""Sealing a bundle: everything it needs is tried once, then the digests of its files are written."""

from collections.abc import Callable
from pathlib import Path

import torch

from inference.bundle.bundle import Bundle, Network
from inference.bundle.digests import SEAL, digest_files
from inference.errors import BundleRefused, HeatproofError, NotAnalysed
from inference.porting.blanks import blanks, marked_air
from inference.porting.synthetic import synthetic_images
from inference.prepare import ModelInput, prepare
from inference.reading.image import Image
from inference.saliency import method_named

MOST_OF_AIR = 0.5
"""Largest share of the air around a body that a localiser may mark: what marks more marks the background."""


def seal(folder: Path, tell: Callable[[str], None] = lambda _: None) -> str:
    """Check a bundle in full and write ``heatproof.sha256``; an older seal is replaced only by a bundle that passes.

    Every network is built and its weights are loaded; a synthetic stack goes through the preprocessing, and what comes
    out of it through every network.

    Args:
        folder: of the bundle.
        tell: is told what is used in another way than the bundle has it.

    Returns:
        SHA-256 of the list of digests: the bundle's own digest.

    Raises:
        BundleRefused: something is missing, does not fit, or asks for code that is not allowed.
        UnknownName: the saliency method it names does not exist.
    """
    listed = digest_files(folder)
    bundle = Bundle(folder, listed)
    method_named(bundle.manifest.method)
    image, given = tried_input(bundle)
    for network in (bundle.primary(), *bundle.replicates(), *bundle.alternates()):
        check_output(network, bundle, given)
    localiser = bundle.localiser()
    if localiser is not None:
        check_mask(localiser, bundle, image)
    bundle.null_inputs()
    for note in bundle.notes:
        tell(note)
    (folder / SEAL).write_bytes(listed)
    return bundle.identity.digest


def tried_input(bundle: Bundle) -> tuple[Image, ModelInput]:
    """Run the preprocessing on a synthetic stack, and return both.

    Raises:
        BundleRefused: it fails, or does not give what the manifest announces.
    """
    first: HeatproofError | None = None
    for image in synthetic_images(bundle.manifest):
        try:
            return image, prepare(bundle, image)
        except (BundleRefused, NotAnalysed) as error:
            first = first or error
    if isinstance(first, BundleRefused):
        raise first
    raise BundleRefused(
        f"{bundle.folder.name} does not take what its manifest asks for. {first}",
        cure="Correct the preprocessing, or input.spatial_size in the manifest.",
    )


def check_output(network: Network, bundle: Bundle, given: ModelInput) -> torch.Tensor:
    """Return what a network gives for the first plane, (1, classes).

    Raises:
        BundleRefused: it does not take such inputs, or gives another shape, or what is not finite.
    """
    output = _output(network, bundle, given)
    expected = (1, len(bundle.manifest.classes))
    if tuple(output.shape) != expected:
        raise BundleRefused(
            f"{bundle.folder.name}: {network.file} gives an output of shape {tuple(output.shape)}; "
            f"the classes need {expected}.",
            cure="Correct [[classes]] in the manifest, or the network.",
        )
    return output


def check_mask(network: Network, bundle: Bundle, image: Image) -> float:
    """Check what the localiser gives for the first plane of images without a finding.

    Args:
        network: the localiser.
        bundle: whose localiser it is.
        image: a synthetic stack that the preprocessing takes.

    Returns:
        The largest share of the air that it marks.

    Raises:
        BundleRefused: it gives no mask of the input, or marks the background.
    """
    shares = []
    for blank in blanks(image, bundle.manifest.input):
        given = prepare(bundle, blank.image)
        output = _mask(network, bundle, given)
        shares.append(marked_air(given, bundle.marked(output)[0].float().numpy(), blank.air))
        if shares[-1] > MOST_OF_AIR:
            raise BundleRefused(
                f"{bundle.folder.name}: {network.file} marks {shares[-1]:.0%} of the air in {blank.name} as a finding.",
                cure="Correct localiser.channels (is one of them the background?) or localiser.activation.",
            )
    return max(shares)


def _mask(network: Network, bundle: Bundle, given: ModelInput) -> torch.Tensor:
    """Return what the localiser gives for the first plane.

    Raises:
        BundleRefused: it is no mask of the input, or has not the channels that the manifest names.
    """
    entry = bundle.manifest.localiser
    output = _output(network, bundle, given)
    shape, where = tuple(output.shape), f"{bundle.folder.name}: {network.file}"
    if shape[2:] != bundle.manifest.input.spatial_size:
        raise BundleRefused(
            f"{where} gives {shape}, which is not a valid mask of the input.",
            cure="A localiser must give (N, channels, *spatial_size).",
        )
    channels = () if entry is None else entry.channels
    if (not channels and shape[1] > 1) or any(channel >= shape[1] for channel in channels):
        raise BundleRefused(
            f"{where} gives {shape[1]} channels, and localiser.channels names {list(channels) or 'none'}.",
            cure="Name those that are findings, from 0; never the background.",
        )
    return output


def _output(network: Network, bundle: Bundle, given: ModelInput) -> torch.Tensor:
    sample = given.tensor[:1]
    try:
        with torch.inference_mode():
            output = network.module(sample)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise BundleRefused(
            f"{bundle.folder.name}: {network.file} does not take inputs of shape {tuple(sample.shape)}: {error}"
        ) from error
    if not isinstance(output, torch.Tensor):
        raise BundleRefused(f"{bundle.folder.name}: {network.file} gives a {type(output).__name__}, not a tensor.")
    if not bool(output.isfinite().all()):
        raise BundleRefused(f"{bundle.folder.name}: {network.file} gives values that are not finite numbers.")
    return output
