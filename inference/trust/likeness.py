"""Whether a stack is like those its bundle was commissioned on: what is looked at, and what is said of the answer.

Two things are held against commissioning: the pixels, by the envelope (``passport/envelope.py``), and what the header
says of the acquisition (``passport/acquisitions.py``). Either puts a stack outside.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from inference.batches import BUDGET_BYTES, budget_bytes_of, run_batched
from inference.bundle.bundle import Bundle
from inference.devices import choose_device
from inference.errors import UnknownName
from inference.options import AnalysisOptions
from inference.passport.acquisitions import contradictions
from inference.passport.envelope import Envelope, Numbers
from inference.prepare import ModelInput
from inference.reading.elements.acquisition import UNSTATED, Acquisition
from inference.saliency.engine.layers import choose_layer, logits_and_activations
from inference.trust.image_statistics import image_statistics
from inference.trust.warrant import Warrant

FEATURES, STATISTICS = "features", "statistics"
"""The views of a plane."""
UNLIKE = "The images are unlike those this model was commissioned on: how reliable it is on such images is unknown."
BY_FEATURES = "No single figure of the images stands out: what differs is what the network makes of them."
WORDS: Mapping[str, str] = {
    "area": "the share of the image that is anatomy",
    "contrast": "the contrast within the anatomy",
    "asymmetry": "the balance of dark and bright tissue",
    "dark_tail": "how dark the darkest tissue is",
    "bright_tail": "how bright the bright tissue is",
    "brightest": "how bright the brightest spots are",
    "grain": "the noise within the anatomy",
    "edge_energy": "the sharpness of edges within the anatomy",
    "spectral_slope": "the balance of coarse and fine structure",
    "mirror_likeness": "how alike the two sides are",
    "filling": "how the anatomy fills its outline",
}
"""Figures of ``image_statistics`` as a sentence names them."""
EXTENT = "extent"
PLACES = {"centre": "where the anatomy lies", EXTENT: "how far the anatomy reaches"}
ALONG: Mapping[str, tuple[str, str]] = {
    "rows": ("from top to bottom", "from left to right"),
    "monai": ("from left to right", "from top to bottom"),
}
"""By the layout of a bundle's input, axes of a plane in words; a volume's have a number."""


@dataclass(frozen=True)
class Likeness:
    """How far one stack lies from those of commissioning."""

    distance: float
    """Of its pixels, over what is allowed."""
    reasons: tuple[str, ...]
    """What its header contradicts, then what differs most in its pixels, in sentences; empty within."""
    is_contradicted: bool = False
    """Whether its header contradicts those of commissioning."""

    @property
    def outside(self) -> bool:
        """Whether its pixels lie farther than those of commissioning do, or its header contradicts theirs."""
        return self.distance > 1 or self.is_contradicted


def likeness(
    bundle: Bundle,
    model_input: ModelInput,
    *,
    options: AnalysisOptions,
    warrant: Warrant | None,
    acquisition: Acquisition = UNSTATED,
) -> Likeness | None:
    """Compare a stack with those of commissioning, by all of its planes and by its header.

    Args:
        bundle: whose primary network sees it.
        model_input: its planes.
        options: device and memory.
        warrant: of the site's passport.
        acquisition: what its header says; of several channels, the first one's.

    Returns:
        None without a passport of this very bundle that knows whole stacks.

    Raises:
        DeviceExhausted: out of memory with a batch of one.
    """
    if warrant is None or warrant.envelope is None or warrant.bundle_digest != bundle.identity.digest:
        return None
    device = choose_device(options.device)
    planes = look(bundle, model_input.tensor, device, budget_bytes=budget_bytes_of(device, options.budget_mebibytes))
    distance = warrant.envelope.ratio(planes)
    by_header = contradictions(warrant.acquisition, acquisition)
    by_pixels = _strange(bundle, warrant.envelope, planes) if distance > 1 else ()
    return Likeness(distance, (*by_header, *by_pixels), is_contradicted=bool(by_header))


def look(
    bundle: Bundle, inputs: torch.Tensor, device: torch.device, *, budget_bytes: int = BUDGET_BYTES
) -> dict[str, Numbers]:
    """Look at planes in every view, as commissioning and node do.

    A plane on which nothing is shown (every pixel alike) is left out. A network without a layer of features has none.

    Args:
        bundle: whose primary network sees them.
        inputs: (planes, channels, *spatial).
        device: where the network runs.
        budget_bytes: bound of memory for activations.

    Returns:
        name of each view to (planes, F).

    Raises:
        DeviceExhausted: out of memory with a batch of one.
    """
    flat = inputs[:, 0].flatten(1)
    shown = inputs[flat.amax(dim=1) > flat.amin(dim=1)]
    views = {STATISTICS: image_statistics(shown[:, 0].numpy())}
    features = _features(bundle, shown if len(shown) else inputs[:1], device, budget_bytes)
    return views if features is None else {FEATURES: features[: len(shown)], **views}


def _features(bundle: Bundle, inputs: torch.Tensor, device: torch.device, budget_bytes: int) -> Numbers | None:
    """Return the primary's last features, averaged over the grid, (planes, F); None: it has no layer of features."""
    network = bundle.primary(device)

    def averaged(batch: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            grids = logits_and_activations(network.module, batch.to(device), layer=layer)[1]
            return grids.flatten(2).mean(dim=2).double().cpu()

    try:
        layer = choose_layer(network.module, inputs[:1].to(device), network.layer)
        return np.asarray(run_batched(averaged, inputs, budget_bytes=budget_bytes, device=device).numpy())
    except UnknownName:
        return None


def _strange(bundle: Bundle, envelope: Envelope, planes: Mapping[str, Numbers]) -> tuple[str, ...]:
    by_view = envelope.by_view(planes)
    if by_view[STATISTICS] <= envelope.threshold:
        return (BY_FEATURES,)
    if not np.isfinite(by_view[STATISTICS]):
        return ("Nothing is shown on any of them.",)
    name, by = envelope.strangest(planes, STATISTICS)
    side = "above" if by > 0 else "below"
    manifest = bundle.manifest
    figure = in_words(name, None if manifest.kind == "volume" else ALONG[manifest.input.layout])
    return (f"Largest difference: {figure}, {abs(by):.1f} SD {side} commissioning's mean.",)


def in_words(figure: str, along: tuple[str, str] | None) -> str:
    """Return a figure of ``image_statistics`` as a sentence names it.

    Args:
        figure: its name.
        along: the axes of a plane in words; None: of a volume, whose axes have a number.
    """
    place, _, axis = figure.rpartition("_")
    if place in PLACES:
        return f"{PLACES[place]} {f'along axis {axis}' if along is None else along[int(axis)]}"
    return WORDS.get(figure, figure.replace("_", " "))
