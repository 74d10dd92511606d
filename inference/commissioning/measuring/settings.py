"""What a site may choose about commissioning: methods, splits, and how many cases the costly criteria get."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, cast

from inference.bundle.bundle import Bundle
from inference.devices import fingerprint
from inference.errors import UnknownName
from inference.fingerprint import Fingerprint
from inference.passport.passport import Setting
from inference.saliency import methods as known_methods
from inference.saliency.registry import libraries_of, method_named, settle
from inference.statistics.seeds import digest_of

ALL = "all"
Device = str


@dataclass(frozen=True)
class CommissionSettings:
    """How one bundle is commissioned. Sizes are numbers of explained cases, drawn by seed; they are in the passport."""

    methods: tuple[str, ...] = (ALL,)
    """Saliency methods; every control is measured beside them. ``all``: every one there is."""
    splits: tuple[str, ...] = ("calibration", "commissioning")
    """The last is judged; those before it are what thresholds and priors are fitted on."""
    limit: int | None = None
    """At most so many explained cases of each split: for a first try."""
    agreement_cases: int = 100
    """For repeatability and reproducibility: as many as Arun et al. 2021."""
    cascade_cases: int = 24
    smprt_cases: int = 8
    smprt_samples: int = 8
    """Noisy copies of each image (Hedström 2024: 50)."""
    emprt_cases: int = 24
    contrast_cases: int = 48
    prediction_saliency_cases: int = 12
    prediction_saliency_samples: int = 8
    """Perturbed images that move the prediction, of each image; half as many keep it."""
    perturbation_cases: int = 32
    """For fidelity, ROAD, insertion, deletion and infidelity."""
    information_cases: int = 32
    """For SIC and AIC."""
    region_cases: int = 24
    tuning_cases: int = 60
    """Of the split fitted on: for the tuned threshold and share of regions."""
    null_pairs: int = 200
    sample_cases: int = 3
    """Recomputed by ``--check``."""
    chunk_cases: int = 8
    """Written to disk together: what a kill can lose."""
    device: Device = "auto"
    save_maps: bool = False

    @property
    def judged(self) -> str:
        """The split every figure is about."""
        return self.splits[-1]

    @property
    def fitted_on(self) -> tuple[str, ...]:
        """The splits that are fitted on."""
        return self.splits[:-1]

    def shaping(self) -> dict[str, Setting]:
        """Return what shapes the result, for the passport and for the key of the store."""
        given = asdict(self)
        for name in ("device", "save_maps", "chunk_cases"):
            del given[name]
        return given

    def with_sizes(self, given: Mapping[str, int]) -> "CommissionSettings":
        """Replace sizes by name.

        Raises:
            UnknownName: there is no such size, or it is below 1.
        """
        sizes = tuple(field.name for field in fields(self) if field.type in (int, "int"))
        for name, value in given.items():
            if name not in sizes or value < 1:
                raise UnknownName(
                    f"{name}={value} is not a valid size.", cure=f"Sizes are: {', '.join(sizes)}; each at least 1."
                )
        return replace(self, **cast("dict[str, Any]", dict(given)))


def resolve(asked: CommissionSettings, bundle: Bundle) -> CommissionSettings:
    """Name every method in full: those asked for (or all), the bundle's own, and every control after them.

    Raises:
        UnknownName: there is no such method, or a split is named twice.
    """
    if not asked.splits or len(set(asked.splits)) != len(asked.splits):
        raise UnknownName("Name at least one split, each once.", cure="For example calibration,commissioning.")
    every = [info.name for info in known_methods()]
    requested = every if ALL in asked.methods else [method_named(name).name for name in asked.methods]
    named = dict.fromkeys([bundle.manifest.method, *requested])
    chosen = [name for name in named if not method_named(name).control]
    controls = [info.name for info in known_methods() if info.control]
    return replace(asked, methods=(*chosen, *controls))


def fingerprint_of(settings: CommissionSettings) -> Fingerprint:
    """Say what a passport's figures depend on: the device, the libraries of its methods, and captum's criteria."""
    return fingerprint(settings.device, (*libraries_of(settings.methods), "captum"))


STORED_FORM = 2
"""Raised when what is kept of unfinished work changes its form: an older program's work is not gone on with."""


def key_of(settings: CommissionSettings, *digests: str) -> str:
    """Return the key of a store: the same bundle, data, settings and libraries, and nothing else, may use it."""
    parameters = {name: settle(name, {}) for name in settings.methods}
    shaping = repr(sorted(settings.shaping().items()))
    return digest_of([f"form {STORED_FORM}", *digests, shaping, repr(parameters), str(settings.chunk_cases)])
