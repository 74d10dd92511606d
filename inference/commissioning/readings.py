"""Which raw figures answer which criterion: the one place that knows both sides."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from inference.commissioning.judging import RAW_REASON, Also, CriterionReading
from inference.commissioning.measuring.agreement import repeatability_figures, reproducibility_figures
from inference.commissioning.measuring.bench import Bench
from inference.commissioning.measuring.localisation import localisation_figures, region_figures
from inference.commissioning.measuring.removal import fidelity_figures, information_figures, road_figures
from inference.commissioning.measuring.stability import infidelity_figures, prediction_saliency_figures
from inference.commissioning.measuring.store import Raw
from inference.commissioning.measuring.weights import cascade_figures, contrast_figures, emprt_figures, smprt_figures
from inference.criteria.prediction_saliency import BOUND
from inference.passport.entries import CriterionCurve, Scalar
from inference.passport.rules import BLURRED

Measure = Callable[[Bench, str], Raw]

FAMILIES: Mapping[str, Measure] = {
    "localisation": localisation_figures,
    "repeatability": repeatability_figures,
    "reproducibility": reproducibility_figures,
    "contrast": contrast_figures,
    "cascade": cascade_figures,
    "smprt": smprt_figures,
    "emprt": emprt_figures,
    "prediction_saliency": prediction_saliency_figures,
    "fidelity": fidelity_figures,
    "infidelity": infidelity_figures,
    "road": road_figures,
    "information": information_figures,
    "regions": region_figures,
}
"""Measures by name: each gives the raw figures of one method."""

MAKE_MAPS = ("smprt", "cascade", "contrast", "emprt", "prediction_saliency")
"""Families that compute new maps; the others measure maps that are there."""

EXTRA: Mapping[str, tuple[str, ...]] = {"road": (BLURRED,)}
"""Baselines that are no method, by family."""

_FAMILY = {
    "localisation_average_precision": "localisation",
    "localisation_hit_rate": "localisation",
    "weight_randomisation_cascade": "cascade",
    "weight_randomisation_smprt": "smprt",
    "weight_randomisation_emprt": "emprt",
    "class_contrast": "contrast",
    "repeatability_spearman": "repeatability",
    "reproducibility_spearman": "reproducibility",
    "fidelity_brocki": "fidelity",
    "road": "road",
    "insertion": "fidelity",
    "deletion": "fidelity",
    "sic": "information",
    "aic": "information",
    "expert_roc": "localisation",
    "region_dice": "regions",
    "prediction_saliency_sensitivity": "prediction_saliency",
    "prediction_saliency_robustness": "prediction_saliency",
    "sensitivity_max": "prediction_saliency",
    "infidelity": "infidelity",
}


def reading(bench: Bench, criterion: str, raws: Mapping[str, Raw]) -> CriterionReading | str:
    """Read one criterion of one method out of its raw figures, by family; or give the reason why it cannot be."""
    raw = raws.get(_FAMILY[criterion], {RAW_REASON: "not measured"})
    if RAW_REASON in raw:
        return str(raw[RAW_REASON])
    if criterion in ("localisation_average_precision", "expert_roc") and not raw["outlined"]:
        return "no explained case has an outlined finding"
    return _READ[criterion](bench, raw)


def _average_precision(bench: Bench, raw: Raw) -> CriterionReading:
    names = ("average_precision_normalised", "average_precision_absolute", "trapezoid_legacy", "iou_otsu", "iou_tuned")
    settings: dict[str, Scalar] = {f"iou_threshold_{at}": threshold for at, threshold in enumerate(raw["thresholds"])}
    also: dict[str, Also] = {name: raw[name] for name in (*names, "energy")}
    return CriterionReading(raw["average_precision"], bench.groups(raw["outlined"]), also=also, settings=settings)


def _hit_rate(bench: Bench, raw: Raw) -> CriterionReading:
    hits = np.asarray(raw["hit"], dtype=np.float64)
    right = [row for row in raw["rows"] if bench.explained[row].right]
    also: dict[str, Also] = {"true_positives": (hits[right].tolist(), bench.groups(right))} if right else {}
    return CriterionReading(raw["hit"], bench.groups(raw["rows"]), also=also)


def _cascade(bench: Bench, raw: Raw) -> CriterionReading:
    null = [float(np.mean(raw["null"]))] * (len(raw["states"]) + 1)
    lines = {"same image": (1.0, *raw["mean"]), "different patients (null)": tuple(null)}
    curve = _curve("stages drawn anew, from the head down", "SSIM (range 2)", ("none", *raw["states"]), lines)
    also: dict[str, Also] = {"spearman": raw["spearman_final"]}
    return CriterionReading(
        raw["final"], bench.groups(raw["rows"]), raw["null"], also, {"spearman": raw["spearman_null"]}, curve=curve
    )


def _smprt(bench: Bench, raw: Raw) -> CriterionReading:
    null = [float(np.mean(raw["null"]))] * (len(raw["states"]) + 1)
    lines = {"same image": (1.0, *raw["mean"]), "different patients (null)": tuple(null)}
    curve = _curve("stages drawn anew, from the input up", "Spearman", ("none", *raw["states"]), lines)
    settings: dict[str, Scalar] = {"samples": bench.settings.smprt_samples}
    also: dict[str, Also] = {"average_over_stages": raw["average"]}
    return CriterionReading(raw["final"], bench.groups(raw["rows"]), raw["null"], also, settings=settings, curve=curve)


def _agreement(bench: Bench, raw: Raw) -> CriterionReading:
    also: dict[str, Also] = {name: values for name, values in raw["values"].items() if name != "spearman"}
    return CriterionReading(
        raw["values"]["spearman"],
        bench.groups(raw["rows"]),
        raw["nulls"]["spearman"],
        also,
        raw["nulls"],
        {"networks": raw["networks"]},
    )


def _fidelity(bench: Bench, raw: Raw) -> CriterionReading:
    lines = {"least important first": raw["mean_least_first"], "most important first": raw["mean_most_first"]}
    curve = _curve("share of pixels removed (mean fill)", "probability of the class explained", raw["shares"], lines)
    also: dict[str, Also] = {
        "absolute_map": raw["mean_fill_absolute"],
        "black_fill": raw["black_fill"],
        "case_form_blur": raw["case_form_blur"],
        "accuracy_form": float(raw["accuracy_form"]),
    }
    return CriterionReading(
        raw["mean_fill"], bench.groups(raw["rows"]), also=also, settings={"fill": "mean"}, curve=curve
    )


def _road(bench: Bench, raw: Raw) -> CriterionReading:
    lines = {"least relevant first": raw["least_first"], "most relevant first": raw["most_first"]}
    curve = _curve("share of pixels removed and imputed", "probability of the class explained", raw["shares"], lines)
    return CriterionReading(raw["combined"], bench.groups(raw["rows"]), curve=curve)


def _insertion(bench: Bench, raw: Raw) -> CriterionReading:
    curve = _curve(
        "share of pixels shown (blurred elsewhere)",
        "probability of the class explained",
        [1.0 - share for share in reversed(raw["shares"])],
        {"hottest first": list(reversed(raw["blur_least_first"]))},
    )
    return CriterionReading(
        raw["insertion"], bench.groups(raw["rows"]), settings={"fill": "undecided blur"}, curve=curve
    )


def _deletion(bench: Bench, raw: Raw) -> CriterionReading:
    lines = {"hottest first": raw["blur_most_first"]}
    curve = _curve("share of pixels blurred", "probability of the class explained", raw["shares"], lines)
    return CriterionReading(
        raw["deletion"], bench.groups(raw["rows"]), settings={"fill": "undecided blur"}, curve=curve
    )


def _information(name: str, label: str) -> Callable[[Bench, Raw], CriterionReading]:
    def read(bench: Bench, raw: Raw) -> CriterionReading:
        kept = int(np.isfinite(np.asarray(raw[name], dtype=np.float64)).sum())
        settings: dict[str, Scalar] = {"entropy": "webp", "kept": kept}
        settings |= {f"rejected: {reason}": count for reason, count in raw[f"{name}_rejected"].items()}
        curve = None
        also: dict[str, Also] = {}
        if kept:
            curve = _curve("recovered information (webp)", label, raw[f"{name}_x"], {"mean": raw[f"{name}_y"]})
            also["median_of_curves_legacy"] = float(raw[f"{name}_median_legacy"])
        return CriterionReading(raw[name], bench.groups(raw["rows"]), also=also, settings=settings, curve=curve)

    return read


def _plain(key: str) -> Callable[[Bench, Raw], CriterionReading]:
    return lambda bench, raw: CriterionReading(raw[key], bench.groups(raw["rows"]))


def _expert(bench: Bench, raw: Raw) -> CriterionReading:
    also: dict[str, Also] = {"curve_of_means_legacy": float(raw["roc_of_means"])}
    return CriterionReading(raw["roc"], bench.groups(raw["outlined"]), also=also)


def _regions(bench: Bench, raw: Raw) -> CriterionReading:
    settings: dict[str, Scalar] = {f"percent_{at}": percent for at, percent in enumerate(raw["percents"])}
    also: dict[str, Also] = {"best_over_shares_legacy": float(raw["best_dice"])}
    return CriterionReading(raw["dice"], bench.groups(raw["rows"]), also=also, settings=settings)


def _psc_sensitivity(bench: Bench, raw: Raw) -> CriterionReading:
    also: dict[str, Also] = {"prediction_moved_by": raw["moved_by"]}
    groups, settings = bench.groups(raw["rows"]), _bounded(bench)
    return CriterionReading(raw["sensitivity"], groups, raw["sensitivity_null"], also, settings=settings)


def _psc_robustness(bench: Bench, raw: Raw) -> CriterionReading:
    also: dict[str, Also] = {"worst": raw["robustness_worst"], "prediction_kept_within": raw["kept_within"]}
    groups, settings = bench.groups(raw["rows"]), _bounded(bench)
    return CriterionReading(raw["robustness"], groups, raw["robustness_null"], also, settings=settings)


def _sensitivity_max(bench: Bench, raw: Raw) -> CriterionReading:
    return CriterionReading(raw["largest"], bench.groups(raw["rows"]), raw["largest_null"], settings=_bounded(bench))


def _bounded(bench: Bench) -> dict[str, Scalar]:
    return {"bound": BOUND, "samples": bench.settings.prediction_saliency_samples}


def _curve(
    x_label: str, y_label: str, x: Sequence[float | str], lines: Mapping[str, Sequence[float]]
) -> CriterionCurve:
    return CriterionCurve(
        x_label=x_label,
        y_label=y_label,
        x=tuple(place if isinstance(place, str) else round(place, 6) for place in x),
        lines={name: tuple(round(float(value), 6) for value in line) for name, line in lines.items()},
    )


_READ: Mapping[str, Callable[[Bench, Raw], CriterionReading]] = {
    "localisation_average_precision": _average_precision,
    "localisation_hit_rate": _hit_rate,
    "weight_randomisation_cascade": _cascade,
    "weight_randomisation_smprt": _smprt,
    "weight_randomisation_emprt": _plain("rise"),
    "class_contrast": _plain("contrast"),
    "repeatability_spearman": _agreement,
    "reproducibility_spearman": _agreement,
    "fidelity_brocki": _fidelity,
    "road": _road,
    "insertion": _insertion,
    "deletion": _deletion,
    "sic": _information("sic", "recovered probability"),
    "aic": _information("aic", "recovered decision"),
    "expert_roc": _expert,
    "region_dice": _regions,
    "prediction_saliency_sensitivity": _psc_sensitivity,
    "prediction_saliency_robustness": _psc_robustness,
    "sensitivity_max": _sensitivity_max,
    "infidelity": _plain("unexplained"),
}
