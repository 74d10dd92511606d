"""How long a control chart runs until it signals, and the limits that give a wanted run length.

Average run lengths (ARL) of standardised normal points, by the integral equation of each chart solved on
Gauss-Legendre nodes: Page 1954 for the CUSUM, Crowder 1987 for the EWMA. In control the shift is 0.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm

from inference.errors import Refused

NODES = 120
SHORTEST, LONGEST = 2.0, 1e6
"""Points between false alarms that can be asked for."""


def shewhart_run_length(limit: float, *, shift: float = 0.0) -> float:
    """Give the ARL of points beyond -limit or limit, in standard deviations; shift is the mean's."""
    return 1.0 / float(norm.sf(limit - shift) + norm.cdf(-limit - shift))


def cusum_run_length(allowance: float, limit: float, *, shift: float = 0.0) -> float:
    """Give the ARL of the two-sided CUSUM with allowance k and limit h, in standard deviations, started at 0.

    The two sides are combined by 1 / ARL = 1 / ARL+ + 1 / ARL- (Van Dobben de Bruyn 1968).
    """
    return 1.0 / sum(1.0 / _one_sided(allowance, limit, each) for each in (shift, -shift))


def ewma_run_length(weight: float, limit: float, *, shift: float = 0.0) -> float:
    """Give the ARL of the EWMA with weight lambda and limits of ``limit`` asymptotic standard deviations."""
    reach = limit * math.sqrt(weight / (2.0 - weight))
    nodes, weights = _gauss(-reach, reach)
    kernel = norm.pdf((nodes[None, :] - (1 - weight) * nodes[:, None]) / weight - shift) / weight * weights[None, :]
    lengths = np.linalg.solve(np.eye(NODES) - kernel, np.ones(NODES))
    start = norm.pdf(nodes / weight - shift) / weight * weights
    return float(1.0 + start @ lengths)


def shewhart_limit(run_length: float) -> float:
    """Give the limit, in standard deviations, of so many points between false alarms.

    Raises:
        Refused: the run length is not between 2 and 1,000,000 points.
    """
    _check(run_length)
    return float(norm.isf(0.5 / run_length))


def cusum_limit(run_length: float, *, allowance: float) -> float:
    """Give the limit h of the two-sided CUSUM with so many points between false alarms.

    Raises:
        Refused: the run length is not between 2 and 1,000,000 points.
    """
    return _root(lambda limit: cusum_run_length(allowance, limit), run_length)


def ewma_limit(run_length: float, *, weight: float) -> float:
    """Give the limit of the EWMA, in asymptotic standard deviations, with so many points between false alarms.

    Raises:
        Refused: the run length is not between 2 and 1,000,000 points.
    """
    return _root(lambda limit: ewma_run_length(weight, limit), run_length)


def _one_sided(allowance: float, limit: float, shift: float) -> float:
    nodes, weights = _gauss(0.0, limit)
    starts = np.concatenate([[0.0], nodes])
    reach = allowance - starts - shift
    kernel = np.empty((NODES + 1, NODES + 1))
    kernel[:, 0] = norm.cdf(reach)
    kernel[:, 1:] = norm.pdf(nodes[None, :] + reach[:, None]) * weights[None, :]
    return float(np.linalg.solve(np.eye(NODES + 1) - kernel, np.ones(NODES + 1))[0])


def _gauss(low: float, high: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return low + (high - low) * (nodes + 1) / 2, weights * (high - low) / 2


def _root(length: Callable[[float], float], wanted: float) -> float:
    _check(wanted)
    high = 1.0
    while length(high) < wanted:
        high += 1.0
    return float(brentq(lambda limit: math.log(length(limit) / wanted), high - 0.99, high, xtol=1e-6))


def _check(run_length: float) -> None:
    if not SHORTEST <= run_length <= LONGEST:
        raise Refused(
            f"A chart cannot be designed for {run_length:g} points between false alarms.",
            cure=f"Ask for {SHORTEST:g} to {LONGEST:g}.",
        )
