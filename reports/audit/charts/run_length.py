"""How long a control chart runs until it signals, and the limits that give a wanted run length.

Average run lengths (ARL) of standardised normal points, by the integral equation of each chart solved on
Gauss-Legendre nodes: Page 1954 for the CUSUM, Crowder 1987 for the EWMA. In control the shift is 0. Under a drift the
same equation is followed from point to point.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr
from scipy.stats import norm

from inference.errors import Refused

NODES = 120
SHORTEST, LONGEST = 2.0, 1e6
"""Points between false alarms that can be asked for."""
Kernel = NDArray[np.float64]
"""(1 + NODES, 1 + NODES), from state to state without a signal; charts start in the first."""


def shewhart_run_length(limit: float, *, shift: float = 0.0) -> float:
    """Return the ARL of points beyond -limit or limit, in standard deviations; shift is the mean's."""
    return 1.0 / float(norm.sf(limit - shift) + norm.cdf(-limit - shift))


def cusum_run_length(allowance: float, limit: float, *, shift: float = 0.0) -> float:
    """Return the ARL of the two-sided CUSUM with allowance k and limit h, in standard deviations, started at 0.

    The two sides are combined by 1 / ARL = 1 / ARL+ + 1 / ARL- (Van Dobben de Bruyn 1968).
    """
    return 1.0 / sum(1.0 / _expected(_cusum(allowance, limit, each)) for each in (shift, -shift))


def ewma_run_length(weight: float, limit: float, *, shift: float = 0.0) -> float:
    """Return the ARL of the EWMA with weight lambda and limits of ``limit`` asymptotic standard deviations."""
    return _expected(_ewma(weight, limit, shift))


def shewhart_drift_length(limit: float, *, slope: float) -> float:
    """Return the ARL while the mean moves by ``slope`` standard deviations from one point to the next."""
    return _along(lambda shift: np.array([[1.0 - 1.0 / shewhart_run_length(limit, shift=shift)]]), slope)


def cusum_drift_length(allowance: float, limit: float, *, slope: float) -> float:
    """Return the same of the CUSUM; of its two sides only the one that the drift goes to."""
    return _along(lambda shift: _cusum(allowance, limit, shift), abs(slope))


def ewma_drift_length(weight: float, limit: float, *, slope: float) -> float:
    """Return the same of the EWMA."""
    return _along(lambda shift: _ewma(weight, limit, shift), slope)


def shewhart_limit(run_length: float) -> float:
    """Return the limit, in standard deviations, of so many points between false alarms.

    Raises:
        Refused: the run length is not between 2 and 1,000,000 points.
    """
    _check(run_length)
    return float(norm.isf(0.5 / run_length))


def cusum_limit(run_length: float, *, allowance: float) -> float:
    """Return the limit h of the two-sided CUSUM with so many points between false alarms.

    Raises:
        Refused: the run length is not between 2 and 1,000,000 points.
    """
    return _root(lambda limit: cusum_run_length(allowance, limit), run_length)


def ewma_limit(run_length: float, *, weight: float) -> float:
    """Return the limit of the EWMA, in asymptotic standard deviations, with so many points between false alarms.

    Raises:
        Refused: the run length is not between 2 and 1,000,000 points.
    """
    return _root(lambda limit: ewma_run_length(weight, limit), run_length)


def _cusum(allowance: float, limit: float, shift: float) -> Kernel:
    places, weights = _gauss()
    nodes, weights = limit * (places + 1) / 2, limit / 2 * weights
    reach = allowance - np.concatenate([[0.0], nodes]) - shift
    kernel = np.empty((NODES + 1, NODES + 1))
    kernel[:, 0] = ndtr(reach)  # the sum is at zero again
    kernel[:, 1:] = _normal(nodes[None, :] + reach[:, None]) * weights[None, :]
    return kernel


def _ewma(weight: float, limit: float, shift: float) -> Kernel:
    reach = limit * math.sqrt(weight / (2.0 - weight))
    places, weights = _gauss()
    nodes, weights = reach * places, reach * weights
    starts = np.concatenate([[0.0], nodes])
    kernel = np.zeros((NODES + 1, NODES + 1))
    to = (nodes[None, :] - (1 - weight) * starts[:, None]) / weight - shift
    kernel[:, 1:] = _normal(to) / weight * weights[None, :]
    return kernel


def _expected(kernel: Kernel) -> float:
    return float(np.linalg.solve(np.eye(len(kernel)) - kernel, np.ones(len(kernel)))[0])


def _along(kernel: Callable[[float], Kernel], slope: float) -> float:
    state, length, drifted = kernel(0.0)[0], 1.0, 0
    while state.sum() > 1e-6 and drifted < LONGEST:
        length += float(state.sum())
        drifted += 1
        state = state @ kernel(slope * drifted)
    return length


def _normal(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.exp(-0.5 * values**2) / math.sqrt(2 * math.pi), dtype=np.float64)


@lru_cache(maxsize=1)
def _gauss() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return nodes, weights


def _root(length: Callable[[float], float], run_length: float) -> float:
    _check(run_length)
    high = 1.0
    while length(high) < run_length:
        high += 1.0
    return float(brentq(lambda limit: math.log(length(limit) / run_length), max(high - 1.0, 0.01), high, xtol=1e-6))


def _check(run_length: float) -> None:
    if not SHORTEST <= run_length <= LONGEST:
        raise Refused(
            f"A chart cannot be designed for {run_length:g} points between false alarms.",
            cure=f"Ask for {SHORTEST:g} to {LONGEST:g}.",
        )
