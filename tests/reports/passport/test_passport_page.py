"""The page of a passport: every method and criterion, no word from elsewhere, no verdict by colour alone."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter

from inference.passport.acquisitions import SeenNumbers, SeenWords
from inference.passport.entries import Comparison, Criterion, CriterionCurve, GalleryEntry, LocalisationReference
from inference.passport.gallery import GalleryPicture
from inference.passport.passport import Passport
from reports.passport.charts import Dot, dot_plot, line_chart
from reports.passport.gallery import painted
from reports.passport.page import passport_page
from reports.passport.tables import verdict
from reports.passport.words import hardest, summaries_of

SHA = "0" * 64
LINES = {"same image": (1.0, 0.3), "null": (0.4, 0.4)}
CURVE = CriterionCurve(x_label="stages", y_label="SSIM", x=("none", "head"), lines=LINES)


def criterion(**changes: object) -> dict[str, object]:
    given = {"value": 0.9, "ci": (0.8, 0.95), "n": 40, "groups": 17, "passed": True, "clear": True}
    return {**given, "baselines": {"random": 0.02}, "also": {"legacy": {"value": 0.5}}, **changes}


def entry(*, control: bool, **changes: object) -> dict[str, object]:
    names = ("localisation_hit_rate", "weight_randomisation_cascade", "repeatability_spearman")
    criteria: dict[str, object] = {name: criterion(**changes) for name in names}
    criteria["weight_randomisation_cascade"] = criterion(null=0.4, null_ci=(0.3, 0.5), curve=CURVE, **changes)
    criteria["repeatability_spearman"] = criterion(null=0.5, referenced=0.8, referenced_ci=(0.6, 0.9), **changes)
    criteria["reproducibility_spearman"] = {
        "value": None, "passed": None, "clear": None, "reason": "The bundle has no alternates.",
    }  # fmt: skip
    return {"control": control, "parameters": {}, "criteria": criteria}


@pytest.fixture
def passport() -> Passport:
    counts = {
        "cases": 60, "groups": 17, "labels": {"none": 20, "lesion": 40}, "with_finding": 40, "masked": 39,
        "called_positive": 42, "explained": 42, "true_positives": 40, "missed": 0,
    }  # fmt: skip
    figure = {"value": 0.97, "ci": (0.9, 0.99), "n": 60, "groups": 17}
    by_class = {"auc": figure, "sensitivity": figure, "specificity": figure, "threshold": 0.5}
    return TypeAdapter(Passport).validate_python(
        {
            "schema": "heatproof.passport",
            "version": 1,
            "digest": SHA,
            "bundle": {
                "name": "tiny", "version": "1", "title": "A <tiny> bundle", "digest": SHA, "weights_digest": SHA,
                "classes": ["none", "lesion"], "method": "gradcam",
            },
            "data": {
                "digest": SHA, "judged": "commissioning", "fitted_on": "calibration",
                "splits": {"commissioning": counts}, "blank": 0,
                "excluded": [{"name": "images/7.png", "reason": "its mask masks/7.png is missing: no localisation"}],
            },
            "fingerprint": {"device": "cpu", "python": "3.11", "libraries": {"torch": "2"}, "threads": 1},
            "settings": {"methods": ["gradcam"], "limit": None, "cascade_cases": 24},
            "classification": {"accuracy": figure, "classes": {"lesion": by_class}},
            "methods": {
                "gradcam": entry(control=False),
                "gradient": entry(control=False, passed=False, clear=False),
                "random": entry(control=True, passed=None, clear=None, reason="a control"),
                "attention": {"control": False, "parameters": {}, "unsuitable": "needs an attention gate"},
            },
            "chosen": {
                "method": "gradcam", "manifest": "gradcam", "beats_every_control": True,
                "tally": {"gradcam": 3, "gradient": 0}, "deciding": ["localisation_hit_rate"], "reason": "It is best.",
            },
            "sample": [],
            "gallery": [],
            "limits": ["17 patients only."],
            "run": {"seconds": 10, "maps": 80, "seconds_per_map": 0.1, "seconds_alone": {"gradcam": 0.1},
                    "share_in_maps": 0.8},
        }
    )  # fmt: skip


def picture(spatial: tuple[int, ...] = (32, 24)) -> GalleryPicture:
    entry = GalleryEntry(
        kind="misleading", case="0123456789abcdef", method="gradcam", found="lesion", label="none", probability=0.97,
        average_precision=None, hit=0.0, agreement=0.91,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    mask = np.zeros(spatial, np.bool_)
    mask[..., 4:12, 6:15] = True
    return GalleryPicture(
        entry, rng.random(spatial, dtype=np.float32), rng.random(spatial, dtype=np.float32) - 0.4, mask
    )


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002  the parser gives it
        self.seen.append(tag)
        if tag not in ("meta", "img", "br", "circle", "rect", "line", "polyline"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag


def test_the_page_is_whole_and_asks_nothing_from_elsewhere(passport: Passport) -> None:
    page = passport_page(passport, [picture()])
    tags = Tags()
    tags.feed(page)
    assert not tags.open
    assert "script" not in tags.seen
    assert "link" not in tags.seen
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert "A &lt;tiny&gt; bundle" in page


def test_every_method_criterion_null_reason_and_limit_is_on_the_page(passport: Passport) -> None:
    page = passport_page(passport)
    for words in (
        "gradcam", "random", "0.90 [0.80, 0.95]", "null 0.40", "a* 0.80 [0.60, 0.90]", "(fail)", "PASS",
        "The bundle has no alternates", "needs an attention gate", "17 patients only.", "images/7.png",
        "NOT FOR DIAGNOSTIC USE", "n 40 in 17 groups", "It is best.",
    ):  # fmt: skip
        assert words in page, words
    assert "Maps of" not in page


def test_how_series_were_acquired_stands_on_the_page_with_what_puts_another_outside(passport: Passport) -> None:
    assert "by their headers" not in passport_page(passport)
    seen = {
        "contrast_agent": SeenWords(patients=9, values={"named": 9}),
        "inversion_recovery": SeenWords(patients=9, values={"no": 8}, others=1),
        "echo_time_ms": SeenNumbers(patients=9, low=8, high=15),
        "kernel": SeenWords(patients=9, values={"B30F": 9}),
    }
    page = passport_page(replace(passport, acquisition=seen))
    for words in (
        'Contrast/Bolus Agent (0018,0010)</th><td>9</td><td class="left">named</td><td class="left">with another<',
        '<td class="left">no or another</td><td class="left">never: patients differ<',
        '<td class="left">8 to 15 ms</td><td class="left">below 4 ms or above 30 ms<',
        '<td class="left">B30F</td><td class="left">not judged<',
    ):
        assert words in page, words


def test_a_verdict_is_told_in_words_and_says_whether_it_is_clear() -> None:
    def said(passed: bool | None, clear: bool | None) -> str:
        return verdict(TypeAdapter(Criterion).validate_python(criterion(passed=passed, clear=clear)))[0]

    assert said(passed=True, clear=True) == "PASS"
    assert said(passed=False, clear=True) == "FAIL"
    assert said(passed=True, clear=False) == "(pass)"
    assert said(passed=False, clear=False) == "(fail)"
    assert said(passed=None, clear=None) == "-"


def test_on_fewer_than_ten_groups_nothing_is_called_passed_or_failed(passport: Passport) -> None:
    few = TypeAdapter(Criterion).validate_python(criterion(groups=9))
    assert verdict(few) == ("too few", "none")
    page = passport_page(passport)
    assert "fewer than 10 groups" in page
    assert "<small>40/17</small>" in page
    assert "<small>n 40/17</small>" in page


def test_what_was_found_stands_first_in_at_most_five_sentences_then_the_rules(passport: Passport) -> None:
    page = passport_page(passport)
    titles = re.findall(r"<h2>(.+?)</h2>", page)
    assert titles[:4] == ["What was found", "Limits", "Rules", "At a glance"]
    (listed,) = re.findall(r'<ol class="found">(.+?)</ol>', page)
    assert 1 <= listed.count("<li>") <= 5
    assert "gradcam is the one to show" in listed
    assert "no map is ever TRUSTED" in listed
    assert "60 cases of 17 patients or groups" in listed


def reference(kind: str, slices: int) -> LocalisationReference:
    figure = {"value": 0.81, "ci": (0.72, 0.86), "n": slices, "groups": 17}
    trainings = [{"seed": seed, "average_precision": figure, "hit": figure} for seed in (11, 12)]
    repeats = dict.fromkeys(("spearman", "ssim", "iou_above_otsu"), figure)
    return TypeAdapter(LocalisationReference).validate_python(
        {"set": "tiny", "kind": kind, "epochs": 8, "split": "commissioning", "slices": slices, "groups": 17,
         "trainings": trainings, "repeatability": repeats}
    )  # fmt: skip


def test_the_ceiling_stands_beneath_the_methods_and_says_on_which_cases_it_was_measured(passport: Passport) -> None:
    assert "trained on outlines" not in passport_page(passport)
    references = (reference("unet", 39), reference("retinanet", 44))
    page = passport_page(replace(passport, references=references))
    for words in (
        "U-Net, seed 11", "U-Net, seed 12", "RetinaNet, seed 12", "0.81 [0.72, 0.86]", "39 slices of 17 patients",
        "not only on what the classifier calls", "of tied hottest pixels the share inside the mask counts",
        "39 outlined cases, not 44", "U-Net, seed 11 (reference)",
    ):  # fmt: skip
        assert words in page, words
    assert page.index("random") < page.index("U-Net, seed 11") < page.index("What the map depends on")


def test_what_fails_is_said_with_what_stands_in_its_way(passport: Passport) -> None:
    against = {
        "edge": Comparison(value=-0.2, ci=(-0.3, -0.1), p_value=0.01),
        "centre": Comparison(value=0.1, ci=(-0.1, 0.3), p_value=0.4),
        "blank": Comparison(value=0.5, ci=(0.4, 0.6), p_value=0.0),
    }
    failed = replace(TypeAdapter(Criterion).validate_python(criterion(passed=False, clear=True)), against=against)
    entries = dict(passport.methods)
    criteria = {**entries["gradient"].criteria, "localisation_hit_rate": failed}
    entries["gradient"] = replace(entries["gradient"], criteria=criteria)
    changed = replace(passport, methods=entries)
    first, second = summaries_of(changed, ["gradcam", "gradient"])
    assert first.passes == ("Hit rate*", "Weights, cascade*", "Repeatability*")
    assert second.fails == ("Hit rate* (worse than edge; not told from centre)",)
    assert second.undecided[1] == "Repeatability* (0.90, null 0.50; a* 0.80 [0.60, 0.90])"
    assert hardest(failed) == ("edge", against["edge"])
    assert second.unjudged[-1] == "Infidelity"
    assert "-0.20 [-0.30, -0.10]</small><br><small>against edge" in passport_page(changed)


def test_charts_keep_every_dot_and_point_inside_and_dash_the_null() -> None:
    svg = dot_plot([Dot("a", 1.4, (0.2, 1.6), "method"), Dot("b", -0.3, None, "control")], "hit rate")
    places = [float(x) for x in re.findall(r'c?x1?="(-?[\d.]+)"', svg)]
    assert all(0 <= x <= 900 for x in places)
    chart = line_chart(CURVE, "cascade")
    assert chart.count("<polyline") == 2
    assert "stroke-dasharray" in chart


@pytest.mark.parametrize("spatial", [(32, 24), (6, 32, 24)])
def test_a_picture_shows_image_and_map_side_by_side_with_the_outline(spatial: tuple[int, ...]) -> None:
    pixels = painted(picture(spatial))
    assert pixels.dtype == np.uint8
    assert pixels.shape == (264, 396, 3)
    assert (pixels == 255).all(axis=2).sum() > 100


def test_a_blank_map_is_painted_without_a_peak(tmp_path: Path) -> None:
    shown = picture()
    blank = replace(shown, map=np.zeros_like(shown.map), mask=np.zeros_like(shown.mask))
    pixels = painted(blank).astype(int)
    assert (np.ptp(pixels, axis=2) == 0).all()
