"""Sealing a bundle: everything it needs is tried once, then the digests of its files are written."""

from pathlib import Path

import torch

from inference.bundle.bundle import Bundle, Network
from inference.bundle.digests import SEAL, digest_files
from inference.errors import BundleRefused
from inference.saliency import method_named


def seal(folder: Path) -> str:
    """Check a bundle in full and write ``heatproof.sha256``; an older seal is replaced only by a bundle that passes.

    Every network is built, its weights are loaded, and one blank input is run through it.

    Returns:
        SHA-256 of the list of digests: the bundle's own digest.

    Raises:
        BundleRefused: something is missing, does not fit, or asks for code that is not allowed.
        UnknownName: the saliency method it names does not exist.
    """
    listed = digest_files(folder)
    bundle = Bundle(folder, listed)
    method_named(bundle.manifest.method)
    for network in (bundle.primary(), *bundle.replicates(), *bundle.alternates()):
        _check_output(network, bundle)
    localiser = bundle.localiser()
    if localiser is not None:
        _check_mask(localiser, bundle)
    bundle.null_inputs()
    (folder / SEAL).write_bytes(listed)
    return bundle.identity.digest


def _check_output(network: Network, bundle: Bundle) -> None:
    given, expected = _output_shape(network, bundle), (1, len(bundle.manifest.classes))
    if given != expected:
        raise BundleRefused(
            f"{bundle.folder.name}: {network.file} gives an output of shape {given}; the classes need {expected}.",
            cure="Correct [[classes]] in the manifest, or the network.",
        )


def _check_mask(network: Network, bundle: Bundle) -> None:
    given = _output_shape(network, bundle)
    if given[2:] != bundle.manifest.input.spatial_size:
        raise BundleRefused(
            f"{bundle.folder.name}: {network.file} gives {given}, which is not a valid mask of the input.",
            cure="A localiser must give (N, channels, *spatial_size).",
        )


def _output_shape(network: Network, bundle: Bundle) -> tuple[int, ...]:
    entry = bundle.manifest.input
    blank = torch.zeros(1, entry.channels, *entry.spatial_size)
    try:
        with torch.inference_mode():
            output = network.module(blank)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise BundleRefused(
            f"{bundle.folder.name}: {network.file} does not take inputs of shape {tuple(blank.shape)}: {error}"
        ) from error
    return tuple(output.shape) if isinstance(output, torch.Tensor) else ()
