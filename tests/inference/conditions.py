"""Under which conditions numbers are made: threads, and noise by which one sees that no test rests on last digits.

``HEATPROOF_TEST_THREADS`` is the number of threads of torch and BLAS (1 by default). ``HEATPROOF_TEST_NOISE`` is the
standard deviation of noise on weights and inputs, as a share of each value (0, the default: none);
``HEATPROOF_TEST_SEED`` chooses the draw. A tensor of one shape is always disturbed by one draw: what two sides of a
comparison are given is disturbed alike.
"""

import os

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

THREADS = int(os.environ.get("HEATPROOF_TEST_THREADS", "1"))
NOISE = float(os.environ.get("HEATPROOF_TEST_NOISE", "0"))
SEED = int(os.environ.get("HEATPROOF_TEST_SEED", "0"))


def disturbed(values: torch.Tensor) -> torch.Tensor:
    """Return the values, each times 1 + noise; whole numbers as they are."""
    if not NOISE or not values.is_floating_point():
        return values
    draw = torch.randn(values.shape, generator=torch.Generator().manual_seed(SEED), dtype=torch.float64)
    return (values.double() * (1 + NOISE * draw)).to(values.dtype)


def disturbed_array(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the values of an array of numpy's, each times 1 + noise."""
    if not NOISE:
        return values
    draw = np.random.default_rng(SEED).normal(size=values.shape)
    return (values * (1 + NOISE * draw)).astype(values.dtype)


def disturbed_network(network: nn.Module) -> nn.Module:
    """Disturb every weight and every running statistic of a network, in place, and give it."""
    network.load_state_dict({name: disturbed(values) for name, values in network.state_dict().items()})
    return network
