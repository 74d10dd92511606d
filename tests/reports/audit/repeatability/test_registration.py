"""Two examinations laid over each other: a known movement is found again, and two heads are not one."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from inference.phantom.phantom import Phantom, make_phantom
from reports.audit.repeatability.registration import Stack, register

pytestmark = pytest.mark.numerics


def stack(phantom: Phantom) -> Stack:
    (between, rows, columns), (x, y, z) = phantom.spacing_mm, phantom.origin_mm
    to_mm = np.eye(4)
    to_mm[:3] = [[0, 0, columns, x], [0, rows, 0, y], [between, 0, 0, z]]
    return Stack(phantom.pixels, to_mm)


def moved(first: Stack, degrees: tuple[float, float, float], shift_mm: tuple[float, float, float]) -> Stack:
    """Return the head as it is seen after it turned and moved, with another gain and noise."""
    rotation = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    indices = np.indices(first.pixels.shape).reshape(3, -1).T.astype(float)
    before = (first.place(indices) - shift_mm) @ rotation
    seen = map_coordinates(first.pixels.astype(float), first.index(before).T, order=1, mode="nearest")
    noise = np.random.default_rng(0).normal(0, 0.01, seen.shape)
    return Stack(np.clip(0.8 * seen + 0.03 + noise, 0, 1).reshape(first.pixels.shape), first.to_mm)


@pytest.mark.parametrize(
    ("degrees", "shift_mm", "planes"),
    [((0, 0, 8), (12, 10, 0), "one"), ((4, -3, 6), (7, -5, 4), "all")],
)
def test_a_known_turn_and_shift_of_a_phantom_is_found_within_half_a_millimetre(
    degrees: tuple[float, float, float], shift_mm: tuple[float, float, float], planes: str
) -> None:
    first = stack(make_phantom(101, rows=128, columns=128))
    if planes == "one":
        first = Stack(first.pixels[10:11], first.to_mm)
    found = register(first, moved(first, degrees, shift_mm))
    assert found is not None
    head = first.place(np.argwhere(first.pixels > 0.2)[::53].astype(float))
    true = head @ Rotation.from_euler("xyz", degrees, degrees=True).as_matrix().T + shift_mm
    assert np.linalg.norm(found.forth(head) - true, axis=1).mean() < 0.5
    assert found.back(found.forth(head)) == pytest.approx(head, abs=1e-9)


def test_two_heads_are_not_laid_over_each_other() -> None:
    assert register(*(stack(make_phantom(seed, rows=96, columns=96)) for seed in (101, 102))) is None
