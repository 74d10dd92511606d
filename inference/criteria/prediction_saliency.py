"""Prediction-saliency correlation (Zhang et al. 2024, Radiology: AI 6(1), e220221, doi 10.1148/ryai.220221).

Two questions about small perturbations of one image. *Sensitivity*: does the map move with the prediction?
*Robustness*: does it stay where the prediction stays? The paper correlates changes of prediction with changes of the
saliency map, over images that were optimised against each method within a bound.

Here, for every image and with the same bound for every method:

* A perturbation adds plus or minus ``BOUND`` of the image's span (max - min) to every value, so that none is larger
  than another: the size of a perturbation explains nothing.
* The prediction is the log-odds of the class explained, so that a probability near 1 still moves.
* The map's change is 1 - Spearman.
* *Moving* perturbations (``moving``) go against the gradient of the explained logit at a random share of the values, 0
  to 1, and at random elsewhere. Sensitivity is Pearson's correlation, over the perturbations of one image, of the
  change of the prediction with the change of the map; 0 where the map does not change at all, or always as much.
* *Keeping* perturbations (``keeping``) are random signs: to first order they move the logit by the gradient's length,
  the moving ones by the sum of its absolute values, some hundred times as much on an image of 128 x 128. Of
  ``CANDIDATES`` drawn for each, the ones are kept that move the prediction least. Robustness is the mean Spearman of
  the map with the map of the image perturbed so.

Null of sensitivity: the map's changes of one patient with the prediction's changes of another, whose shares were drawn
by themselves. Null of robustness: maps of different patients. Both are means over cases with intervals over patients.

Departures: perturbations are drawn, not optimised against the method (that takes second derivatives, which most methods
do not have), so that these figures are kinder than the paper's; ranks stand for SSIM; correlations are taken within an
image and averaged, where the paper pools; the bound is that of the authors' earlier code (0.03 of images in 0 to 1,
Zhang et al. 2022), and holds for every value; robustness is an agreement, since over perturbations that leave the
prediction as it is no correlation with its change is defined. A map that never moves is robust: the two are read
together, and neither decides which method is shown.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

BOUND = 0.03
"""Of every perturbation, as a share of the image's span."""
CANDIDATES = 4
"""Keeping perturbations drawn for each that is kept."""

Scores = NDArray[np.float64]
Predict = Callable[[torch.Tensor], Scores]
"""Images (N, channels, *spatial) to the log-odds of the class explained, (N,)."""


def moving(image: torch.Tensor, gradient: torch.Tensor, *, count: int, seed: int) -> torch.Tensor:
    """Draw perturbed images that lower the explained logit to different degrees.

    Args:
        image: (channels, *spatial).
        gradient: of the logit by the image, of its shape.
        count: how many.
        seed: of the shares and of the signs.

    Returns:
        (count, channels, *spatial).
    """
    generator = torch.Generator().manual_seed(seed)
    shape = (count, *image.shape)
    shares = torch.rand(count, generator=generator).reshape(count, *[1] * image.ndim)
    against = torch.rand(shape, generator=generator) < shares
    return _stepped(image, torch.where(against, -gradient.sign(), _signs(shape, generator)))


def keeping(image: torch.Tensor, predict: Predict, *, count: int, seed: int) -> torch.Tensor:
    """Draw perturbed images that leave the prediction nearly as it is.

    Args:
        image: (channels, *spatial).
        predict: the log-odds of the class explained.
        count: how many are kept, of ``CANDIDATES`` times as many.
        seed: of the signs.

    Returns:
        (count, channels, *spatial), the one that moves the prediction least first.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = _stepped(image, _signs((CANDIDATES * count, *image.shape), generator))
    moved = np.abs(predict(drawn) - predict(image[None]))
    return drawn[torch.from_numpy(np.argsort(moved, kind="stable")[:count].copy())]


def correlation(prediction: Scores, saliency: Scores) -> float:
    """Correlate changes of the prediction, (K,), with changes of the map, (K,), by Pearson.

    Returns:
        -1 to 1; 0 where the map's changes are all the same; NaN where the prediction's are.
    """
    apart, moved = prediction - prediction.mean(), saliency - saliency.mean()
    if np.ptp(prediction) == 0:
        return float("nan")
    length = float(np.linalg.norm(apart) * np.linalg.norm(moved))
    return float(apart @ moved) / length if np.ptp(saliency) > _SAME else 0.0


def log_odds(logits: torch.Tensor, target: int, *, excluding: bool) -> Scores:
    """Return the log-odds of one class, (N, classes) -> (N,).

    Args:
        logits: of the network.
        target: index of the class.
        excluding: whether the classes exclude each other (softmax), or stand each by itself (sigmoid).
    """
    exact = logits.double().cpu()
    own = exact[:, target]
    if excluding:
        others = [index for index in range(exact.shape[1]) if index != target]
        own = own - exact[:, others].logsumexp(dim=1)
    return np.asarray(own.numpy(), dtype=np.float64)


def _signs(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    return torch.randint(2, shape, generator=generator) * 2.0 - 1.0


def _stepped(image: torch.Tensor, signs: torch.Tensor) -> torch.Tensor:
    return image + BOUND * (image.max() - image.min()) * signs


_SAME = 1e-12
"""Changes of a map as close as this differ by rounding alone."""
