"""Whether a mean of patients' losses lies below a line, at a stated confidence, and how many patients that takes.

Losses lie in [0, 1] and patients are independent; nothing else is assumed. The test is a game of bets (Waudby-Smith and
Ramdas 2024): starting with delta, patients are met in an order drawn beforehand, and each is betted on at odds that are
fair if the mean were ``alpha``. By Markov's inequality such a player owns 1 at the end with probability at most delta
unless the mean lies below alpha. How to bet is free. After each patient the target is set again from what is owned and
who is left (Voráček and Orabona 2025): the largest number of misses the wealth still pays for; the bet is that of the
exact binomial test of it. So losses of 0 or 1 certify whatever the exact binomial (Clopper-Pearson) bound certifies and
a little more, and shares between, as slices of one patient give, certify from far fewer patients: at mean 0.05, alpha
and delta 0.10, 100 patients of 13 correlated slices (0.3) certify in 0.86 of simulations; one slice drawn of each with
the exact bound in 0.62, Hoeffding-Bentkus in 0.30. At mean 0.10 they certify wrongly in 0.02.
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr
from scipy.stats import beta, binom

from inference.errors import Refused

Losses = NDArray[np.float64]
WON = 1.0 - 1e-12
UNLIKELY = 1e-9
LINES = np.concatenate([np.arange(950, 500, -50), np.arange(500, 200, -10), np.arange(200, 0, -2)]) / 1000
"""Where the upper bound is looked for, from above."""
MOST_GROUPS = 100_000
WITH_TRUSTED = 0.8
"""Share of patients expected to have a TRUSTED map: only they count towards a certificate."""
CERTIFYING = 0.5
"""Share of commissioned patients that certify; the others are what is reported."""


@dataclass(frozen=True, slots=True)
class Bets:
    """The test of "the mean loss is alpha or more" for at most so many patients, with its table of binomials."""

    alpha: float
    delta: float
    table: Losses
    """(most + 1, C + 1): P(Binomial(patients left, alpha) <= c), c = -1 .. C - 1."""

    @classmethod
    def of(cls, alpha: float, delta: float, most: int) -> Self:
        """Make the test.

        Args:
            alpha: the line, above 0, below 1.
            delta: largest probability of a false rejection, above 0, below 1.
            most: patients at most.

        Raises:
            Refused: alpha or delta is not a probability between 0 and 1.
        """
        check_levels(alpha, delta)
        table = np.ones((most + 1, int(binom.ppf(1 - UNLIKELY, most, alpha)) + 3))
        table[:, 0] = 0.0
        for left in range(1, most + 1):
            table[left, 1:] = (1 - alpha) * table[left - 1, 1:] + alpha * table[left - 1, :-1]
        return cls(alpha, delta, table)

    def rejects(self, losses: Losses) -> NDArray[np.bool_]:
        """Tell whether each row's mean loss is below alpha at confidence 1 - delta, (R, G) -> (R,).

        Args:
            losses: (R, G), patients in an order drawn without regard to their losses; NaN: not in this row.
        """
        met = ~np.isnan(losses)
        left = met[:, ::-1].cumsum(axis=1)[:, ::-1]
        wealth = np.full(len(losses), self.delta)
        for patient in range(losses.shape[1]):
            rows = np.flatnonzero(met[:, patient] & (wealth < WON))
            if len(rows):
                wealth[rows] = self._after(wealth[rows], left[rows, patient], losses[rows, patient])
        return wealth >= WON

    def _after(self, wealth: Losses, left: NDArray[np.intp], loss: Losses) -> Losses:
        """Bet all wealth on at most c misses among those left, c the most it pays for, and meet one patient."""
        misses = np.maximum((self.table[left] <= wealth[:, None]).sum(axis=1) - 1, 1)
        kept = (1 - loss) * self.table[left - 1, misses] + loss * self.table[left - 1, misses - 1]
        return np.asarray(wealth / self.table[left, misses] * kept)


def upper_bound(losses: ArrayLike, delta: float, below: float = 1.0) -> float:
    """Return an upper bound of the mean loss at confidence 1 - delta: the lowest line down to which every line rejects.

    Args:
        losses: (G,), each in 0..1, in an order drawn without regard to them.
        delta: above 0, below 1.
        below: a line that is known to reject, from which on lines are tried.

    Returns:
        ``below`` where no lower line rejects; steps of 0.002 below 0.2, of 0.01 below 0.5, of 0.05 above.
    """
    row = np.asarray(losses, dtype=np.float64)[None]
    bound = below
    for line in LINES[below > LINES]:
        if not len(row[0]) or not Bets.of(float(line), delta, row.shape[1]).rejects(row)[0]:
            return bound
        bound = float(line)
    return bound


def binomial_upper_bound(misses: int, trials: int, delta: float) -> float:
    """Return the exact upper bound of a probability after so many misses (Clopper and Pearson 1934); 1 for no trial."""
    return 1.0 if misses >= trials else float(beta.ppf(1 - delta, misses + 1, trials - misses))


def expected_alpha(patients: int, misses: float, delta: float) -> tuple[int, float | None]:
    """Return how many of the patients at hand certify, and the smallest alpha they certify at a share of misses.

    Exact binomial, of patients whose maps hit or miss together.

    Args:
        patients: to be commissioned with.
        misses: share of those with a TRUSTED map that miss; counted upwards to whole patients.
        delta: 1 - confidence.

    Returns:
        Patients that certify and have a TRUSTED map, as expected; alpha, None where there is none below 1.
    """
    counting = math.floor(patients * CERTIFYING * WITH_TRUSTED + UNLIKELY)
    bound = binomial_upper_bound(math.ceil(misses * counting - UNLIKELY), counting, delta)
    return counting, bound if bound < 1 else None


def needed_groups(alpha: float, delta: float, expected_miss: float = 0.0, *, power: float = 0.8) -> int | None:
    """Return how many patients with a trusted map certify alpha, if a patient's maps hit or miss together.

    Exact binomial: the fewest for which so few may miss that they do with probability ``power``. Without a miss, 22 for
    alpha = delta = 0.10.

    Args:
        alpha: share of patients' trusted maps that may miss.
        delta: 1 - confidence.
        expected_miss: true share that misses.
        power: probability of the certificate.

    Returns:
        None where no number does: the expected miss is not below alpha, or more than 100,000 would be needed.

    Raises:
        Refused: alpha or delta is not a probability between 0 and 1.
    """
    check_levels(alpha, delta)
    if expected_miss >= alpha:
        return None
    misses = 0
    while (groups := fewest_groups(alpha, delta, misses)) <= MOST_GROUPS:
        if bdtr(misses, groups, expected_miss) >= power:
            return groups
        misses += 1
    return None


def fewest_groups(alpha: float, delta: float, misses: int) -> int:
    """Return how few patients certify alpha although so many of them miss (exact binomial)."""
    low, high = misses, misses + 1
    while bdtr(misses, high, alpha) > delta:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if bdtr(misses, middle, alpha) > delta else (low, middle)
    return high


def check_levels(alpha: float, delta: float) -> None:
    """Refuse an alpha or delta that is not a probability between 0 and 1.

    Raises:
        Refused: always with the offending pair.
    """
    if not (0 < alpha < 1 and 0 < delta < 1):
        raise Refused(f"alpha {alpha} and delta {delta} must lie strictly between 0 and 1.")
