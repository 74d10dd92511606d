"""From findings to saliency maps on the pixels of their own planes."""

import hashlib
import time
from collections.abc import Sequence

import numpy as np

from inference.batches import budget_bytes_of
from inference.bundle.bundle import Bundle, Network
from inference.devices import choose_device
from inference.findings import Finding
from inference.options import AnalysisOptions
from inference.prepare import ModelInput
from inference.reading.image import Image
from inference.saliency.engine.layers import choose_layer
from inference.saliency.engine.maps import SaliencyMap, peak_of
from inference.saliency.registry import explain_many, method_named, settle


def explain_findings(
    bundle: Bundle, image: Image, model_input: ModelInput, findings: Sequence[Finding], *, options: AnalysisOptions
) -> tuple[SaliencyMap, ...]:
    """Explain each finding by the primary network, in their order.

    Raises:
        UnknownName: no such method or parameter.
        DeviceExhausted: out of memory with a batch of one.
    """
    network = bundle.primary(choose_device(options.device))
    return tuple(_explained(bundle, image, model_input, finding, network, options) for finding in findings)


def case_seed(image: Image, finding: Finding) -> int:
    """Return the seed of every random draw for one finding, from the case's own UIDs: 0 to 2**32 - 1."""
    frame = image.frames[finding.position]
    parts = (image.series_instance_uid, frame.sop_instance_uid, str(frame.frame_number), finding.label)
    return int.from_bytes(hashlib.sha256("\n".join(parts).encode()).digest()[:4], "big")


def _explained(
    bundle: Bundle,
    image: Image,
    model_input: ModelInput,
    finding: Finding,
    network: Network,
    options: AnalysisOptions,
) -> SaliencyMap:
    method = options.method or bundle.manifest.method
    parameters = settle(method, options.parameters)
    seed = case_seed(image, finding)
    device = choose_device(options.device)
    sample = model_input.tensor[finding.position : finding.position + 1].to(device)
    layer = choose_layer(network.module, sample, network.layer) if method_named(method).needs_layer else None
    began = time.perf_counter()
    raw = explain_many(
        network.module,
        sample,
        finding.class_index,
        {method: parameters},
        seed=seed,
        layer=layer,
        references=bundle.null_inputs(),
        budget_bytes=budget_bytes_of(device, options.budget_mebibytes),
    )[method]
    seconds = time.perf_counter() - began
    values = raw[0].cpu().numpy().astype(np.float32)
    frame = model_input.frame_of(finding.position, peak_of(values))
    on_frame = model_input.to_frame(values, frame)
    row, column = peak_of(np.where(model_input.seen(frame), on_frame, -np.inf))
    return SaliencyMap(
        finding=finding,
        method=method,
        parameters=parameters,
        layer=layer,
        seed=seed,
        values=values,
        frame=frame,
        on_frame=on_frame,
        peak=(row, column),
        seconds=seconds,
    )
