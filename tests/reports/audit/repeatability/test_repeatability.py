"""Repeatability figures against published examples and against pingouin and statsmodels."""

import warnings

import numpy as np
import pytest

from inference.errors import Refused
from reports.audit.repeatability.statistics import bland_altman, concordance, intraclass_correlation, within_subject

SHROUT_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], dtype=float
)
"""Shrout and Fleiss 1979, table 2: ICC(2,1) = 0.29 and ICC(3,1) = 0.71."""
WRIGHT = np.array(
    [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427], dtype=float
)  # fmt: skip
WRIGHT_AGAIN = np.array(
    [490, 397, 512, 401, 470, 611, 415, 431, 638, 429, 420, 633, 275, 492, 165, 372, 421], dtype=float
)  # fmt: skip
"""Peak expiratory flow in l/min, twice each (Bland and Altman 1986): within-subject SD 15.3."""
pytestmark = pytest.mark.numerics
MINI = np.array(
    [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451], dtype=float
)  # fmt: skip
"""The same subjects by the mini meter: bias of Wright less mini -2.1, SD 38.8, limits -80 and 76."""


def pingouin() -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("pingouin")


def test_within_subject_sd_is_that_of_bland_and_altman() -> None:
    subjects = np.arange(17)
    found = within_subject(np.concatenate([WRIGHT, WRIGHT_AGAIN]), np.concatenate([subjects, subjects]))
    assert found.wsd.value == pytest.approx(15.3, abs=0.05)
    assert found.wsd.value == pytest.approx(np.sqrt(((WRIGHT - WRIGHT_AGAIN) ** 2).mean() / 2), abs=1e-9)
    assert found.repeatability_coefficient.value == pytest.approx(1.96 * np.sqrt(2) * found.wsd.value, rel=1e-12)
    assert found.wsd.low < found.wsd.value < found.wsd.high
    assert not found.is_finding  # 17 of 35


def test_within_subject_sd_of_unequal_counts_is_the_root_mean_square_of_statsmodels_anova() -> None:
    draw = np.random.default_rng(0)
    subjects = np.repeat(np.arange(40), draw.integers(1, 6, size=40))
    values = subjects * 0.3 + draw.normal(size=len(subjects))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ols = pytest.importorskip("statsmodels.api").OLS
    kept = np.isin(subjects, np.flatnonzero(np.bincount(subjects) > 1))
    dummies = (subjects[kept][:, None] == np.unique(subjects[kept])[None, :]).astype(float)
    assert within_subject(values, subjects).wsd.value == pytest.approx(
        np.sqrt(ols(values[kept], dummies).fit().mse_resid), abs=1e-9
    )


def test_the_interval_of_the_within_subject_sd_covers_19_times_in_20() -> None:
    draw = np.random.default_rng(1)
    subjects = np.repeat(np.arange(35), 2)
    found = [within_subject(draw.normal(0, 2.0, size=70), subjects).wsd for _ in range(600)]
    assert np.mean([each.low <= 2.0 <= each.high for each in found]) == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize("seed", [None, 3, 4])
def test_intraclass_correlations_and_their_intervals_are_pingouins(seed: int | None) -> None:
    table = SHROUT_FLEISS
    if seed is not None:
        draw = np.random.default_rng(seed)
        table = draw.normal(size=(40, 1)) + draw.normal(0, 0.5, size=(40, 3)) + np.array([0.0, 0.2, -0.1])
    n, k = table.shape
    import pandas as pd

    long = pd.DataFrame(
        {"subject": np.repeat(np.arange(n), k), "rater": np.tile(np.arange(k), n), "value": table.ravel()}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = pingouin().intraclass_corr(long, targets="subject", raters="rater", ratings="value")  # type: ignore[attr-defined]
    rows = theirs.set_index("Type")["ICC"]
    ours = {absolute: intraclass_correlation(table, absolute=absolute) for absolute in (True, False)}
    assert ours[True].value == pytest.approx(rows.iloc[1], abs=1e-6)
    assert ours[False].value == pytest.approx(rows.iloc[2], abs=1e-6)
    interval = "CI95" if "CI95" in theirs else "CI95%"
    for absolute, row in ((True, 1), (False, 2)):
        assert [ours[absolute].low, ours[absolute].high] == pytest.approx(list(theirs[interval].iloc[row]), abs=6e-3)


def test_intraclass_correlations_are_those_of_shrout_and_fleiss() -> None:
    assert intraclass_correlation(SHROUT_FLEISS).value == pytest.approx(0.2897638, abs=1e-6)
    consistency = intraclass_correlation(SHROUT_FLEISS, absolute=False)
    assert (consistency.value, consistency.low, consistency.high) == pytest.approx((0.7148407, 0.34, 0.95), abs=6e-3)


def test_concordance_is_lins_formula_and_its_interval_covers() -> None:
    x, y = WRIGHT, MINI
    by_hand = 2 * np.cov(x, y, bias=True)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    assert concordance(x, y).value == pytest.approx(by_hand, abs=1e-9)
    draw = np.random.default_rng(5)
    truth = 2 * 0.9 / (1 + 1 + 0.3**2)
    inside = []
    for _ in range(600):
        pairs = draw.multivariate_normal([0, 0.3], [[1, 0.9], [0.9, 1]], size=60)
        found = concordance(pairs[:, 0], pairs[:, 1])
        inside.append(found.low <= truth <= found.high)
    assert np.mean(inside) == pytest.approx(0.95, abs=0.03)


def test_limits_of_agreement_are_those_of_bland_and_altman_and_of_statsmodels() -> None:
    found = bland_altman(MINI, WRIGHT)
    assert found.bias.value == pytest.approx(-2.1, abs=0.05)
    assert found.sd == pytest.approx(38.8, abs=0.05)
    assert (found.lower_limit.value, found.upper_limit.value) == pytest.approx((-78.1, 73.9), abs=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        described = pytest.importorskip("statsmodels.stats.weightstats").DescrStatsW(WRIGHT - MINI)
    assert (found.bias.low, found.bias.high) == pytest.approx(described.tconfint_mean(), abs=1e-6)


def test_what_cannot_be_said_is_refused() -> None:
    with pytest.raises(Refused, match="measured twice"):
        within_subject([1.0, 2.0], ["a", "b"])
    with pytest.raises(Refused, match="not a finite number"):
        bland_altman([1.0, float("nan"), 2.0], [1.0, 1.0, 1.0])
    with pytest.raises(Refused, match="same for every subject"):
        concordance([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])
    with pytest.raises(Refused, match="at least 2 subjects"):
        intraclass_correlation([[1.0, 2.0]])
