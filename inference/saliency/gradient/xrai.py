"""Kapishnikov et al.: XRAI, better attributions through regions (ICCV 2019), arXiv 1906.02825, algorithm 1."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from inference.saliency.engine.protocol import ExplanationType, MethodInfo, Parameter, Task
from inference.saliency.gradient.baselines import BASELINES, BLUR_SIGMA
from inference.saliency.gradient.integrated_gradients import COMPLETE, IntegratedGradients
from inference.saliency.gradient.segments import segments

Attribution = NDArray[np.float64]


class Xrai:
    """Segments of the image in the order in which they add most attribution per pixel; each shows that density.

    Attributions are integrated gradients from black and from white, the larger of the channels where there are
    several (PAIR's code). ``full`` ranks each segment by what it adds to those already taken, ``fast`` once by all it
    holds. The map is piecewise constant, unbounded, and may be negative.
    """

    info = MethodInfo(
        name="xrai",
        paper="Kapishnikov et al. 2019, arXiv 1906.02825",
        description="which regions of the image add most to the logit",
        needs_layer=False,
        explanation=ExplanationType.SALIENCY,
        details={
            "algorithm": Parameter("full", "how segments are ranked", choices=("full", "fast")),
            "steps": Parameter(24, "intervals of the integral from each baseline", minimum=1),
            "baseline": Parameter("black_and_white", "where the ways begin", choices=BASELINES),
            "blur_sigma": BLUR_SIGMA,
            "complete": COMPLETE,
            "least_pixels": Parameter(50, "segments that add fewer pixels are left out", minimum=1),
        },
    )

    def explain(self, task: Task) -> torch.Tensor:
        """Return the map of regions, (N, 1, *spatial)."""
        attributions = IntegratedGradients().explain(task).amax(dim=1).cpu().double().numpy()
        rank = ranked if task.parameters["algorithm"] == "full" else ranked_once
        images = task.inputs.cpu().double().numpy()
        least = task.whole("least_pixels")
        maps = [rank(values, segments(image), least) for values, image in zip(attributions, images, strict=True)]
        return torch.from_numpy(np.stack(maps)).float()[:, None].to(task.inputs.device)


def ranked(attribution: Attribution, members: csr_array, least_pixels: int = 50) -> Attribution:
    """Take the segment of highest mean attribution over pixels not yet taken, again and again (the full algorithm).

    Sums and counts of every segment are kept up to date by what each taken one removes, so that all of them together
    cost one pass over the pixels.

    Args:
        attribution: (*spatial).
        members: sparse boolean (segments, pixels), as ``segments`` gives them.
        least_pixels: a segment that would add fewer is left out for good.

    Returns:
        (*spatial): the mean over the new pixels at the time of taking; pixels in no segment show their own mean.
    """
    values = attribution.reshape(-1)
    of_pixel = members.astype(np.float64).T.tocsr()
    free = np.ones(len(values), dtype=bool)
    counts = of_pixel.sum(axis=0)
    sums = of_pixel.T @ values
    shown = np.zeros(len(values))
    while True:
        gains = np.where(counts >= least_pixels, sums / np.maximum(counts, 1), -np.inf)
        best = int(gains.argmax())
        if gains[best] == -np.inf:
            break
        new = _new(members, best, free)
        shown[new] = values[new].mean()
        free[new] = False
        rows = of_pixel[new]
        counts -= rows.sum(axis=0)
        sums -= rows.T @ values[new]
        counts[best] = 0
    return _rest(shown, values, free).reshape(attribution.shape)


def ranked_once(attribution: Attribution, members: csr_array, least_pixels: int = 50) -> Attribution:
    """Take segments in the order of the mean attribution of all their pixels (the fast algorithm); as ``ranked``."""
    values = attribution.reshape(-1)
    means = (members @ values) / np.maximum(members.sum(axis=1), 1)
    free = np.ones(len(values), dtype=bool)
    shown = np.zeros(len(values))
    for segment in np.argsort(-means, kind="stable"):
        new = _new(members, int(segment), free)
        if len(new) >= least_pixels:
            shown[new] = values[new].mean()
            free[new] = False
    return _rest(shown, values, free).reshape(attribution.shape)


def _new(members: csr_array, segment: int, free: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the pixels of a segment that no other has taken yet."""
    pixels = members.indices[members.indptr[segment] : members.indptr[segment + 1]]
    return pixels[free[pixels]]


def _rest(shown: Attribution, values: Attribution, free: NDArray[np.bool_]) -> Attribution:
    if free.any():
        shown[free] = values[free].mean()
    return shown
