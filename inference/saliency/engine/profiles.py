"""Normalisation profiles: from raw signed attributions to the maps that are shown or compared."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from inference.errors import UnknownName


def normalise(attributions: torch.Tensor, profile: str) -> torch.Tensor:
    """Normalise maps; a metric that wants normalised maps says which profile it was given.

    Profiles:
        ``display``: sum over channels, what speaks against the class cut, largest value 1. What the overlay shows.
        ``magnitude``: sum over channels of the absolute values, to 0 .. 1.
        ``legacy``: sum over channels of the absolute values, clipped at the 99th percentile, to 0 .. 1
        (``VisualizeImageGrayscale`` of PAIR; Arun et al. 2021). It ties the highest hundredth of the pixels at 1; a
        map whose 99th percentile is its minimum is not clipped.
        ``signed``: sum over channels, divided by the largest absolute value: -1 .. 1, zero stays zero.

    Args:
        attributions: (N, C, *spatial), raw, as ``explain(..., keep_channels=True)`` gives them.
        profile: one of the above.

    Returns:
        (N, *spatial) float32. A constant map gives zeros in every profile but ``display`` and ``signed``.

    Raises:
        UnknownName: there is no such profile.
    """
    if profile not in _PROFILES:
        raise UnknownName(f"There is no profile {profile!r}.", cure=f"There are: {', '.join(_PROFILES)}.")
    flat = attributions.float().flatten(2)
    return _PROFILES[profile](flat).reshape(len(attributions), *attributions.shape[2:])


def legacy_normalised(maps: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return ``legacy`` profile of maps that are arrays without channels, (N, *spatial): for published figures only.

    It discards the sign and saturates the hottest hundredth: the figures that decide are computed on the raw map.
    """
    attributions = torch.from_numpy(np.ascontiguousarray(maps, dtype=np.float32))[:, None]
    return np.asarray(normalise(attributions, "legacy").numpy(), dtype=np.float32)


def _display(flat: torch.Tensor) -> torch.Tensor:
    positive = flat.sum(dim=1).clamp(min=0)
    return positive / _above_zero(positive.amax(dim=1, keepdim=True))


def _signed(flat: torch.Tensor) -> torch.Tensor:
    summed = flat.sum(dim=1)
    return summed / _above_zero(summed.abs().amax(dim=1, keepdim=True))


def _magnitude(flat: torch.Tensor) -> torch.Tensor:
    return _to_unit(flat.abs().sum(dim=1))


def _legacy(flat: torch.Tensor) -> torch.Tensor:
    magnitude = flat.abs().sum(dim=1)
    largest = magnitude.amax(dim=1, keepdim=True)
    highest = torch.from_numpy(np.percentile(magnitude.cpu().double().numpy(), 99, axis=1, keepdims=True)).to(magnitude)
    highest = torch.where(highest > magnitude.amin(dim=1, keepdim=True), highest, largest)
    return _to_unit(torch.minimum(magnitude, highest))


def _to_unit(values: torch.Tensor) -> torch.Tensor:
    lowest, highest = values.amin(dim=1, keepdim=True), values.amax(dim=1, keepdim=True)
    return (values - lowest) / _above_zero(highest - lowest)


def _above_zero(span: torch.Tensor) -> torch.Tensor:
    return torch.where(span > 0, span, 1.0)


_PROFILES: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "display": _display,
    "magnitude": _magnitude,
    "legacy": _legacy,
    "signed": _signed,
}
