"""Every criterion with its decision rule, in one table: what decides, what it is held against, and what is legacy.

A verdict is ``passed`` by the rule, and ``clear`` where the 95 % bootstrap interval over groups clears the line: Arun's
published verdicts turned on margins of 0.002. What is not clear is undecided, whatever side it lies on.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["controls", "null", "agreement", "line"]


@dataclass(frozen=True, slots=True)
class CriterionRule:
    """How one criterion is read."""

    name: str
    title: str
    """As a table shows it."""
    question: str
    kind: Kind
    """controls: the paired difference from each control named; null: an unpaired difference from different patients'
    maps; agreement: the same, referenced as a*; line: a fixed line."""
    rule: str
    """When it passes, in words."""
    higher_is_better: bool = True
    deciding: bool = True
    """Whether it counts when a method is chosen."""
    against: tuple[str, ...] = ()
    """Controls that must be beaten; empty for kind controls: every one."""
    line: float = 0.0
    paper: str = ""


RANDOM = ("random",)
BLURRED = "random_blurred"
"""A blurred random map, which ROAD favours (arXiv 2304.13836): a baseline of ROAD alone."""
_BETTER = "better than every control: each paired difference has its interval above 0"
_BETTER_THAN_RANDOM = "better than the random map: the paired difference has its interval above 0"
_AGREES = "a* > 0: the interval of agreement less that of different patients' maps lies above 0"

RULES: tuple[CriterionRule, ...] = (
    CriterionRule(
        "localisation_average_precision", "Localisation, AP", "Do hot pixels lie in the finding?", "controls", _BETTER,
        paper="Arun 2021, with the step form of average precision",
    ),
    CriterionRule(
        "localisation_hit_rate", "Hit rate", "Does the peak lie in the finding? A false positive has none: a miss.",
        "controls", _BETTER, paper="pointing game, Zhang 2018; Saporta 2022",
    ),
    CriterionRule(
        "weight_randomisation_cascade", "Weights, cascade", "Does the map change when what was learned is thrown away?",
        "null", "Arun's rule: SSIM with the map by random weights below that of different patients' maps",
        higher_is_better=False, paper="Arun 2021, top-down, SSIM at range 2",
    ),
    CriterionRule(
        "weight_randomisation_smprt", "Weights, sMPRT", "The same, from the input up, smoothed, by rank correlation.",
        "null", "Spearman with the map by random weights below that of different patients' maps",
        higher_is_better=False, paper="Hedström 2024; Binder 2023",
    ),
    CriterionRule(
        "weight_randomisation_emprt", "Weights, eMPRT", "Does the map become more disordered under random weights?",
        "line", "the rise of the map's entropy is above 0", paper="Hedström 2024",
    ),
    CriterionRule(
        "class_contrast", "Class contrast", "Does the map of another class look different?",
        "line", "similarity between classes below 0.5 (contrast above 0.5)", line=0.5, paper="RandomLogit, Sixt 2020",
    ),
    CriterionRule(
        "repeatability_spearman", "Repeatability", "Does another training of the same architecture point at the same?",
        "agreement", _AGREES, paper="Arun 2021, referenced to different patients",
    ),
    CriterionRule(
        "reproducibility_spearman", "Reproducibility", "Does another architecture point at the same?",
        "agreement", _AGREES, paper="Arun 2021, referenced to different patients",
    ),
    CriterionRule(
        "fidelity_brocki", "Fidelity F", "Does the prediction live where the map says? (least less most important)",
        "controls", _BETTER_THAN_RANDOM, against=RANDOM, paper="Brocki 2022, probability form, mean fill",
    ),
    CriterionRule(
        "road", "ROAD", "The same, with removed pixels imputed.", "controls",
        "better than a random and than a blurred random map: each paired difference has its interval above 0",
        against=("random", BLURRED), paper="Rong 2022",
    ),
    CriterionRule(
        "insertion", "Insertion", "How soon does the prediction return as the hottest pixels are put in?", "controls",
        _BETTER_THAN_RANDOM, against=RANDOM, deciding=False, paper="Petsiuk 2018, blur fill",
    ),
    CriterionRule(
        "deletion", "Deletion", "How soon does the prediction go as the hottest pixels are taken out?", "controls",
        _BETTER_THAN_RANDOM, higher_is_better=False, against=RANDOM, deciding=False, paper="Petsiuk 2018, blur fill",
    ),
    CriterionRule(
        "sic", "SIC", "How little of the image brings the probability back?", "controls", _BETTER_THAN_RANDOM,
        against=RANDOM, paper="Kapishnikov 2019, webp entropy, mean of curves",
    ),
    CriterionRule(
        "aic", "AIC", "How little of the image brings the decision back?", "controls", _BETTER_THAN_RANDOM,
        against=RANDOM, deciding=False, paper="Kapishnikov 2019, webp entropy, mean of curves",
    ),
    CriterionRule(
        "expert_roc", "Expert ROC", "Do hotter pixels lie inside the expert's outline rather than outside?", "controls",
        _BETTER, deciding=False, paper="Brocki 2022, mean of each image's own area",
    ),
    CriterionRule(
        "region_dice", "Region Dice", "Do the hottest regions cover the expert's outline?", "controls", _BETTER,
        deciding=False, paper="Brocki 2022, XRAI regions, share fixed on other patients",
    ),
    CriterionRule(
        "prediction_saliency_sensitivity", "PSC, sensitivity",
        "Of perturbations of one size, do those that move the prediction more move the map more?", "agreement",
        "a* > 0: the correlation less that with another patient's prediction has its interval above 0",
        deciding=False, paper="Zhang 2024, drawn perturbations, by rank",
    ),
    CriterionRule(
        "prediction_saliency_robustness", "PSC, robustness",
        "Does the map stay where a perturbation leaves the prediction as it is?", "agreement", _AGREES,
        deciding=False, paper="Zhang 2024, drawn perturbations, by rank",
    ),
    CriterionRule(
        "sensitivity_max", "Sensitivity, max", "How far does such a perturbation move the map at most?", "null",
        "the distance of the maps, as a share of the map's length, is below that of different patients' maps",
        higher_is_better=False, deciding=False, paper="Yeh 2019, by captum",
    ),
    CriterionRule(
        "infidelity", "Infidelity", "Does the sum of the map over a box say how far the logit falls without it?",
        "controls", _BETTER_THAN_RANDOM, higher_is_better=False, against=RANDOM, deciding=False,
        paper="Yeh 2019, by captum, as a share",
    ),
)  # fmt: skip

DECIDING = tuple(rule.name for rule in RULES if rule.deciding)
LOCALISATION = ("localisation_average_precision", "localisation_hit_rate")


def rule_named(name: str) -> CriterionRule:
    """Return the rule of one criterion."""
    return next(rule for rule in RULES if rule.name == name)
