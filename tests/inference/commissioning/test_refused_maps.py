"""A method that refuses its own map of one case has no maps at all; every other method keeps its own."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from inference.commissioning.measuring.explaining import Explainer, fill_chunk
from inference.commissioning.measuring.store import Store
from inference.errors import Unsuitable

METHODS = ("steady", "choosy")


class Choosy:
    """Explains by two methods, of which one refuses case 3."""

    def maps(self, _network: object, position: int, _target: int, methods: Sequence[str]) -> dict[str, np.ndarray]:
        if position == 3 and "choosy" in methods:
            raise Unsuitable("A map sums to 5 where the logit moved by 1.")
        return {name: np.full((2, 2), position, np.float32) for name in methods}


def test_the_method_is_left_out_of_the_set_with_its_reason_and_the_others_are_whole(tmp_path: Path) -> None:
    explainer, network = cast("Explainer", Choosy()), cast("Any", SimpleNamespace())
    store = Store(tmp_path, "0" * 64, resume=False)
    for chunk, work in enumerate([[(1, 0), (2, 0)], [(3, 0), (4, 0)], [(5, 0)]]):
        fill_chunk(explainer, store, "primary", network, chunk, work, METHODS)
    steady = store.maps("primary", "steady")
    assert steady is not None
    assert steady[:, 0, 0].tolist() == [1, 2, 3, 4, 5]
    assert store.maps("primary", "choosy") is None
    assert store.refusals("primary") == {"choosy": "A map sums to 5 where the logit moved by 1."}
    assert store.refusals("replicate_0") == {}
