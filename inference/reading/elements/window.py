"""How modality values become grey: a window or a VOI LUT (PS3.3 C.11.2). For pictures alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Window:
    """How modality values become display values: a window, or a table."""

    center: float
    width: float
    function: str = "LINEAR"
    """LINEAR, LINEAR_EXACT or SIGMOID (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""
    table: tuple[int, ...] = ()
    """VOI LUT; empty where there is a window. ``center`` is then the value of its first entry, ``width`` its bits."""

    def show(self, values: Values) -> Values:
        """Return display values from 0 (black) to 1 (white) for modality values of any shape."""
        if self.table:
            return look_up(values, self.table, int(self.center)) / np.float32(2 ** int(self.width) - 1)
        if self.function == "SIGMOID":
            exponent = np.clip(-4.0 * (values - self.center) / self.width, -80, 80)
            return np.asarray(1.0 / (1.0 + np.exp(exponent)), dtype=np.float32)
        if self.function == "LINEAR_EXACT":
            shown = (values - self.center) / self.width + 0.5
        else:
            shown = (values - (self.center - 0.5)) / max(self.width - 1.0, 1e-6) + 0.5
        return np.asarray(np.clip(shown, 0.0, 1.0), dtype=np.float32)


def look_up(values: Values, table: tuple[int, ...], first: int) -> Values:
    """Map values through a table; values outside take its first or last entry."""
    index = np.clip(np.rint(values) - first, 0, len(table) - 1).astype(np.intp)
    return np.asarray(table, dtype=np.float32)[index]
