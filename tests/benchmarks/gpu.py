"""Everything that only a CUDA card can show, in one run of under eight minutes that downloads nothing.

``PYTHONPATH=. python tests/benchmarks/gpu.py --out FOLDER [--device cuda] [--quick] [--minutes 8] [--only PART ...]``

Runs on Python 3.11 or later and torch 2.6 or later, with monai, captum, pydicom, pydantic and safetensors; pytest for
the tests marked gpu and grad-cam for one comparison where they are installed. ``FOLDER/gpu.json`` is written after
every part, so that a run that is cut off leaves what it measured, and ``FOLDER/gpu.md`` at the end (``gpu_page.py``).
CPU maps to compare with are computed on the same machine. ``--device cpu --quick`` rehearses it without a card.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import nn

import inference.batches
from inference.analyse import analyse
from inference.analysis import Analysis
from inference.batches import run_batched
from inference.bundle.discovery import load_named
from inference.companions.companions import make_companions
from inference.companions.settings import CompanionSettings
from inference.devices import be_exact, choose_device, fingerprint
from inference.errors import DAMAGE, HeatproofError, Unsuitable
from inference.options import AnalysisOptions
from inference.passport.passport import SHIPPED_PASSPORTS, load_passport
from inference.phantom.phantom import make_phantom
from inference.reading.image import Image
from inference.reading.study import read_study
from inference.saliency import explain, methods
from inference.trust.warrant import Warrant
from reports.objects.phantom_study import write_study
from tests.benchmarks.gpu_page import page
from tests.inference.counted_memory import CountedMemory

BUNDLE = "glioma_flair"
LIBRARIES = (
    "captum", "grad-cam", "monai", "numpy", "pydantic", "pydicom", "pytest", "safetensors", "scikit-image", "scipy",
    "torch",
)  # fmt: skip
GPU_TESTS = (
    "tests/inference/test_devices.py", "tests/inference/test_analyse.py", "tests/inference/saliency/test_engine.py",
)  # fmt: skip
R1 = 1e-3
"""Largest difference, as a share of the highest value, that counts as within tolerance (R1); identical is R0."""
FEWER = {"samples": 8, "steps": 6, "masks": 64, "channels": 16}
QUICK_METHODS = ("gradient", "gradcam", "rise", "gradient_shap", "random")


@dataclass(frozen=True)
class Bench:
    """What every part is given."""

    device: torch.device
    setting: str
    quick: bool
    wheels: Path | None

    def timed(self, call: Callable[[], Any], rounds: int = 1) -> tuple[Any, float]:
        """Return what the last of some calls gives, and the median seconds; the device has ended by then."""
        seconds = []
        for _ in range(rounds):
            self.wait()
            began = time.perf_counter()
            made = call()
            self.wait()
            seconds.append(time.perf_counter() - began)
        return made, float(np.median(seconds))

    def wait(self) -> None:
        """Wait for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def peak_mib(self, call: Callable[[], Any]) -> float:
        """Return the most memory that tensors made by a call held at once."""
        if self.device.type == "cpu":
            with CountedMemory() as memory:
                call()
            return memory.peak_bytes / 2**20
        torch.cuda.empty_cache()
        before = torch.cuda.memory_allocated(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        call()
        return (torch.cuda.max_memory_allocated(self.device) - before) / 2**20


def machine(bench: Bench) -> dict[str, Any]:
    """Say what the figures were made on."""
    libraries = {}
    for name in LIBRARIES:
        try:
            libraries[name] = version(name)
        except PackageNotFoundError:
            libraries[name] = "not installed"
    printed = fingerprint(bench.setting)
    wheels = sorted(bench.wheels.glob("*.whl")) if bench.wheels else []
    return {
        "platform": platform.platform(), "python": platform.python_version(), "libraries": libraries,
        "device": printed.device, "arithmetic": dict(printed.arithmetic), "threads": printed.threads,
        "quick": bench.quick, "wheels_mib": {path.name: round(path.stat().st_size / 2**20, 2) for path in wheels},
        "memory_mib": torch.cuda.mem_get_info(bench.device)[1] >> 20 if bench.device.type == "cuda" else None,
    }  # fmt: skip


def maps(bench: Bench) -> dict[str, Any]:
    """Every method twice on the device and once on the CPU: repeatability, agreement, time."""
    bundle = load_named(BUNDLE)
    references = bundle.null_inputs()
    here, there = bundle.primary(), bundle.primary(bench.device)
    chosen = [method for method in methods() if not bench.quick or method.name in QUICK_METHODS]
    rows: dict[str, Any] = {}
    for method in chosen:
        few = {name: count for name, count in FEWER.items() if name in method.details}

        def run(network: nn.Module, on: torch.device, name: str = method.name, few: Any = few) -> torch.Tensor:
            return explain(
                network, references[:1].to(on), 1, name, seed=3, layer=here.layer, references=references,
                prior=references[0, 0], **few,
            )  # fmt: skip

        try:
            run(there.module, bench.device)
            first, seconds = bench.timed(lambda run=run: run(there.module, bench.device))
            again = run(there.module, bench.device)
            slow, cpu_seconds = bench.timed(lambda run=run: run(here.module, torch.device("cpu")))
        except Unsuitable as refusal:
            rows[method.name] = {"refused": str(refusal)}
            continue
        floor = apart(first, again)
        rows[method.name] = {
            "floor": floor, "level": level(floor), "seconds": seconds, "cpu_seconds": cpu_seconds,
            "from_cpu": apart(slow, first), "spearman_with_cpu": order(slow, first),
        }  # fmt: skip
    return rows


def determinism(bench: Bench) -> dict[str, Any]:
    """How far five runs lie apart by network, method and arithmetic: torch's defaults, exact, and deterministic."""
    rows: dict[str, Any] = {}
    inputs = {2: torch.rand(2, 1, 64, 64), 3: torch.rand(1, 1, 32, 32, 32)}
    if not bench.quick:
        inputs = {2: torch.rand(4, 1, 224, 224), 3: torch.rand(2, 1, 96, 96, 96)}
    for mode in ("defaults", "float32", "deterministic"):
        set_arithmetic(mode)
        for dims, images in inputs.items():
            for name in ("gradient", "gradcam"):
                network, given = densenet(dims).to(bench.device), images.to(bench.device)
                made = [explain(network, given, 1, name) for _ in range(2 if bench.quick else 5)]
                floor = max(apart(made[0], other) for other in made[1:])
                _, seconds = bench.timed(lambda n=network, g=given, name=name: explain(n, g, 1, name))
                rows[f"{mode}, {dims}D, {name}"] = {"floor": floor, "level": level(floor), "seconds": seconds}
    if bench.device.type == "cuda":
        be_exact()
    return rows


def throughput(bench: Bench) -> dict[str, Any]:
    """Images a second by batch: classification, and gradient and Grad-CAM beside captum and pytorch-grad-cam."""
    side = 64 if bench.quick else 224
    network = densenet(2).to(bench.device)
    rounds = 2 if bench.quick else 5
    rows: dict[str, Any] = {}
    for batch in (1, 4) if bench.quick else (1, 8, 16, 32, 64):
        images = torch.rand(batch, 1, side, side).to(bench.device)
        for name, call in calls(network, images).items():
            call()
            made, seconds = bench.timed(call, rounds)
            rows.setdefault(name, {})[str(batch)] = {"images_per_second": batch / seconds, "made": made}
        for peer, ours in (("captum gradient", "gradient"), ("captum Grad-CAM", "gradcam"), ("grad-cam", "gradcam")):
            if peer in rows and str(batch) in rows[peer]:
                rows[peer][str(batch)]["spearman"] = order(
                    rows[ours][str(batch)]["made"], rows[peer][str(batch)]["made"]
                )
    for of_name in rows.values():
        for row in of_name.values():
            del row["made"]
    return rows


def calls(network: nn.Module, images: torch.Tensor) -> dict[str, Callable[[], torch.Tensor]]:
    """Return what is timed, by name; each gives a tensor with a row for each image."""
    from captum.attr import LayerAttribution, LayerGradCam, Saliency

    layer = network.features.denseblock4

    def classified() -> torch.Tensor:
        with torch.inference_mode():
            return run_batched(network, images)

    def captum_gradcam() -> torch.Tensor:
        grid = LayerGradCam(network, layer).attribute(images, target=1, relu_attributions=True)
        return LayerAttribution.interpolate(grid, images.shape[2:], interpolate_mode="bilinear")[:, 0].detach()

    named: dict[str, Callable[[], torch.Tensor]] = {
        "classify": classified,
        "gradient": lambda: explain(network, images, 1, "gradient"),
        "captum gradient": lambda: Saliency(network).attribute(images.clone().requires_grad_(), 1, abs=False)[:, 0],
        "gradcam": lambda: explain(network, images, 1, "gradcam", layer="features.denseblock4"),
        "captum Grad-CAM": captum_gradcam,
    }
    try:
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    except ImportError:
        return named

    def peer() -> torch.Tensor:
        with GradCAM(network, [layer]) as cam:
            return torch.from_numpy(cam(images, targets=[ClassifierOutputTarget(1)] * len(images)))

    return {**named, "grad-cam": peer}


def memory(bench: Bench) -> dict[str, Any]:
    """Peak memory of a call against its budget."""
    side = 32 if bench.quick else 96
    network = densenet(3).to(bench.device)
    volume = torch.rand(1, 1, side, side, side).to(bench.device)
    rows: dict[str, Any] = {}
    for mebibytes in (64,) if bench.quick else (512, 2048, 8192):
        for name, more in (
            ("smoothgrad", {"samples": 32}), ("smooth_integrated_gradients", {"samples": 8}), ("rise", {"masks": 64}),
            ("occlusion", {"share": 0.1}), ("integrated_gradients", {}),
        ):  # fmt: skip
            if bench.quick and name not in ("smoothgrad", "rise"):
                continue
            peak = bench.peak_mib(
                lambda name=name, more=more, most=mebibytes: explain(
                    network, volume, 1, name, budget_bytes=most << 20, **more
                )
            )
            rows[f"{name}, {mebibytes} MiB"] = {"peak_mib": peak, "over_mib": max(0.0, peak - mebibytes)}
    return rows


def halving(bench: Bench) -> dict[str, Any]:
    """Out of memory in earnest on a card, feigned above two samples on a CPU: the same map by smaller batches."""
    network, images = densenet(2).to(bench.device), torch.rand(8, 1, 64, 64)
    if bench.device.type == "cuda":
        images = torch.rand(64, 1, 384, 384)
    images = images.to(bench.device)
    wanted = torch.cat([explain(network, image[None], 1, "gradient") for image in images])
    seen: list[int] = []

    def note(_module: nn.Module, given: tuple[torch.Tensor]) -> None:
        seen.append(len(given[0]))
        if bench.device.type == "cpu" and len(given[0]) > 2:
            raise torch.OutOfMemoryError("out of memory")

    handle = network.register_forward_pre_hook(note)
    if bench.device.type == "cuda":
        torch.cuda.empty_cache()
        total = torch.cuda.get_device_properties(bench.device).total_memory
        torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_allocated(bench.device) + (3 << 30)) / total)
    try:
        made = explain(network, images, 1, "gradient", budget_bytes=1 << 38)
    finally:
        handle.remove()
        if bench.device.type == "cuda":
            torch.cuda.set_per_process_memory_fraction(1.0)
        inference.batches._fitting.clear()
    return {"batches": seen, "halved": max(seen) > seen[-1] or len(set(seen)) > 2, "difference": apart(wanted, made)}


def way(bench: Bench) -> dict[str, Any]:
    """The whole way of a study with a shipped bundle and its passport, on the device and on the CPU."""
    bundle = load_named(BUNDLE)
    passport = load_passport(SHIPPED_PASSPORTS / "phantoms" / BUNDLE / "passport.json")
    warrant = Warrant.of(passport, alpha=0.1, delta=0.1, budget="fast" if bench.quick else "full")
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in (101,) if bench.quick else (101, 102, 103):
            (image,) = read_study(write_study(make_phantom(seed), Path(folder) / str(seed))).images
            rows[f"phantom {seed}"] = analysed(bench, image, bundle, warrant)
            if bench.quick:
                break
    return rows


def analysed(bench: Bench, image: Image, bundle: Any, warrant: Warrant) -> dict[str, Any]:
    """Analyse one stack on both, and say how far verdicts and maps are the same."""

    def run(setting: str) -> Analysis:
        return analyse(image, bundle, AnalysisOptions(planes_explained=1, device=setting), warrant=warrant)

    if not bench.quick:
        run(bench.setting)
    fast, seconds = bench.timed(lambda: run(bench.setting))
    slow, cpu_seconds = (fast, seconds) if bench.quick else bench.timed(lambda: run("cpu"))
    pairs = list(zip(slow.explanations, fast.explanations, strict=False))
    verdicts = [[explanation.trust.verdict.value for explanation in of_one.explanations] for of_one in (slow, fast)]
    moved = [apart(torch.from_numpy(a.map.values), torch.from_numpy(b.map.values)) for a, b in pairs]
    trusted = [abs((a.trust.score or 0.0) - (b.trust.score or 0.0)) for a, b in pairs]
    probabilities = np.abs(slow.classification.probabilities - fast.classification.probabilities)
    return {
        "seconds": seconds, "cpu_seconds": cpu_seconds, "maps": len(fast.explanations),
        "same_verdicts": verdicts[0] == verdicts[1], "from_cpu": max(moved, default=0.0),
        "trust_difference": max(trusted, default=0.0), "probability_difference": float(probabilities.max()),
    }  # fmt: skip


def training(bench: Bench) -> dict[str, Any]:
    """Companions of a small bundle, trained on the device: replicates, an alternate of another family, a localiser."""
    from inference.bundle.bundle import load_bundle
    from inference.porting.seal import seal
    from tests.inference.companions.own_site import source_of, write_site
    from tests.inference.conftest import write_bundle

    asked = CompanionSettings(
        replicates=1 if bench.quick else 2, alternate="none" if bench.quick else "resnet_small",
        localiser="none" if bench.quick else "unet", epochs=1 if bench.quick else 40, device=bench.setting,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seal(write_bundle(folder / "own"))
        own, data = load_bundle(folder / "own"), write_site(folder / "site")
        report, seconds = bench.timed(lambda: make_companions(own, source_of(data), asked, folder / "new"))
        trained = [str(entry.kind) for entry in report.companions]
        return {"seconds": seconds, "trained": trained, "written": report.written, "left_out": list(report.left_out)}


def tests(bench: Bench) -> dict[str, Any]:
    """The tests marked gpu, in a process of their own."""
    if bench.device.type == "cpu":
        return {"left out": "they need a card"}
    command = [
        sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", "--confcutdir=tests/inference",
        *GPU_TESTS,
    ]  # fmt: skip
    ended = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    return {"status": ended.returncode, "said": ended.stdout.strip().splitlines()[-12:]}


PARTS: Mapping[str, Callable[[Bench], dict[str, Any]]] = {
    "machine": machine, "maps": maps, "determinism": determinism, "throughput": throughput, "memory": memory,
    "halving": halving, "way": way, "tests": tests, "training": training,
}  # fmt: skip


def densenet(dims: int) -> nn.Module:
    """Return an untrained DenseNet121, the same each time."""
    from monai.networks.nets import DenseNet121

    torch.manual_seed(0)
    return DenseNet121(spatial_dims=dims, in_channels=1, out_channels=3).eval()


def set_arithmetic(mode: str) -> None:
    """Set torch to its defaults, to whole float32, or to deterministic kernels too (as ``inference.devices`` does)."""
    if mode == "deterministic":
        be_exact()
        return
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.allow_tf32 = mode == "defaults"
    torch.backends.cudnn.deterministic = False


def apart(first: torch.Tensor, second: torch.Tensor) -> float:
    """Return the largest difference of two maps as a share of the first one's highest absolute value."""
    a, b = first.double().cpu(), second.double().cpu()
    return float((a - b).abs().max() / a.abs().max().clamp(min=1e-30))


def order(first: torch.Tensor, second: torch.Tensor) -> float | None:
    """Return Spearman's correlation of two maps; None where one is flat."""
    a, b = first.double().cpu().numpy().ravel(), second.double().cpu().numpy().ravel()
    return float(spearmanr(a, b)[0]) if np.ptp(a) and np.ptp(b) else None


def level(floor: float) -> str:
    """Return R0 for identical, R1 for within tolerance, or changed."""
    return "R0" if floor == 0 else "R1" if floor <= R1 else "changed"


def measure(bench: Bench, out: Path, minutes: float, only: tuple[str, ...] = tuple(PARTS)) -> dict[str, Any]:
    """Run the parts one after the other while there is time; write the JSON after each, and the page at the end."""
    out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    results: dict[str, Any] = {}
    for name in only:
        started = time.monotonic()
        if started - began > 60 * minutes:
            results[name] = {"left out": "no time was left"}
            continue
        try:
            results[name] = PARTS[name](bench)
        except (*DAMAGE, HeatproofError, ImportError, MemoryError, subprocess.SubprocessError):
            results[name] = {"failed": traceback.format_exc(limit=4).splitlines()[-4:]}
        results.setdefault("seconds", {})[name] = round(time.monotonic() - started, 1)
        (out / "gpu.json").write_text(json.dumps(results, indent=1, default=str) + "\n", encoding="utf-8")
    (out / "gpu.json").write_text(json.dumps(results, indent=1, default=str) + "\n", encoding="utf-8")
    (out / "gpu.md").write_text(page(results), encoding="utf-8")
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="small networks and few runs: a rehearsal")
    parser.add_argument("--minutes", type=float, default=8.0, help="no part is begun after this")
    parser.add_argument(
        "--wheels", type=Path, help="folder of the wheels that travelled, to be listed with their sizes"
    )
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), default=tuple(PARTS))
    asked = parser.parse_args()
    bench = Bench(choose_device(asked.device), asked.device, asked.quick, asked.wheels)
    results = measure(bench, asked.out, asked.minutes, tuple(asked.only))
    print(page(results))
    failed = [name for name, of_part in results.items() if "failed" in of_part]
    sys.exit(f"These parts failed: {', '.join(failed)}." if failed else 0)


if __name__ == "__main__":
    main()
