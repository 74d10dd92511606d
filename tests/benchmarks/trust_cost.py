"""What trust in one map costs under each budget, and what the passport says the budget is worth.

Passes are counted; times are medians of the ratio to the explanation alone, in turn in one process. The image is a
phantom, forced to be explained for the bundle's last class: what it shows does not change what is computed.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from inference.bundle.bundle import SHIPPED, Bundle, load_bundle
from inference.explain import explain_findings
from inference.findings import Finding
from inference.options import AnalysisOptions
from inference.passport.passport import SHIPPED_PASSPORTS, Passport, load_passport
from inference.passport.verdict import FittedVerdict
from inference.phantom.phantom import make_phantom
from inference.prepare import prepare
from inference.reading.study import read_study
from inference.saliency.engine.maps import SaliencyMap
from inference.statistics.risk_control import Unit
from inference.trust.assess import assess
from inference.trust.budgets import PARTS
from inference.trust.cost import Cost, counted
from inference.trust.evidence import Examiner
from inference.trust.warrant import Warrant
from reports.objects.phantom_study import write_study
from reports.passport.cells import fine

CPU = AnalysisOptions(planes_explained=1, device="cpu")
SITES = ("brisc/brain_tumour_t1ce", "site_c/glioma_flair", "phantoms/glioma_flair")


def print_costs(rounds: int) -> None:
    """Print a line for each budget of each shipped passport whose gate is open."""
    for site in SITES:
        passport = load_passport(SHIPPED_PASSPORTS / site / "passport.json")
        print(f"{site}: the explanation, then trust under each budget")
        for line in costs(passport, load_bundle(SHIPPED / passport.bundle.name), rounds):
            print(f"    {line}", flush=True)


def costs(passport: Passport, bundle: Bundle, rounds: int) -> list[str]:
    """Count and time the explanation, and trust under each budget, in turn."""
    explain, assesses = calls(passport, bundle)
    every: dict[str, Callable[[], object]] = {"explanation": explain, **assesses}
    passes = {name: passes_of(bundle, call) for name, call in every.items()}
    seconds: dict[str, list[float]] = {name: [] for name in every}
    for _ in range(rounds):
        for name, call in every.items():
            began = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - began)
    alone = seconds.pop("explanation")
    lines = [f"explanation: {told(passes['explanation'])}, {1000 * statistics.median(alone):.0f} ms"]
    for name, taken in seconds.items():
        ratios = [one / base for one, base in zip(taken, alone, strict=True)]
        lines.append(
            f"{name}: {told(passes[name])}, {statistics.median(ratios):.1f} times the explanation "
            f"({min(ratios):.1f} to {max(ratios):.1f}); {worth(passport, name)}"
        )
    return lines


def calls(passport: Passport, bundle: Bundle) -> tuple[Callable[[], SaliencyMap], dict[str, Callable[[], object]]]:
    """Return what explains one finding of a phantom, and what assesses its map under each budget."""
    with tempfile.TemporaryDirectory() as folder:
        (image,) = read_study(write_study(make_phantom(1), Path(folder))).images
    model_input = prepare(bundle, image)
    label, index = bundle.manifest.classes[-1].name, len(bundle.manifest.classes) - 1
    position = len(model_input.tensor) // 2
    finding = Finding(label, index, None, 1.0, 0.5, position)

    def explain() -> SaliencyMap:
        return explain_findings(bundle, image, model_input, [finding], options=CPU)[0]

    shown = explain()
    warrants = {budget: Warrant.of(passport, alpha=0.1, delta=0.1, budget=budget) for budget in PARTS}
    return explain, {
        budget: lambda warrant=warrant: assess(bundle, model_input, shown, options=CPU, warrant=warrant)
        for budget, warrant in warrants.items()
    }


def passes_of(bundle: Bundle, call: Callable[[], object]) -> Cost:
    """Count what a call passes through any network of the bundle."""
    every = Examiner(bundle, bundle.manifest.method, {}, torch.device("cpu"))
    with counted(every.networks()) as found:
        call()
    return found


def told(cost: Cost) -> str:
    return f"{cost.forward} forward, {cost.backward} backward"


def worth(passport: Passport, budget: str) -> str:
    """Say what the passport measured of a budget: AUROC, and coverage at alpha 0.10 by patient."""
    assert isinstance(passport.verdict, FittedVerdict)
    verdict = passport.verdict.by_budget[budget]
    words = [f"AUROC {tier} {fine(verdict.auroc[tier].pooled.auroc)}" for tier in ("A", "ABC")]
    for share in verdict.trusted:
        certificate = share.certificate
        if certificate.unit is Unit.PATIENT and certificate.threshold is not None:
            words.append(f"coverage at {certificate.alpha:.2f} {fine(share.coverage)}")
    return ", ".join(words)
