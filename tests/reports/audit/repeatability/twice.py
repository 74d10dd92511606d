"""Pairs of made-up measurements, drawn by seed, for reports to speak of."""

from datetime import datetime, timedelta

import numpy as np
from sqlalchemy import Engine

from reports.audit.repeatability.pair import NOT_NEEDED, Again, Pair
from reports.audit.repeatability.pairs import keep


def draw_pairs(
    again: Again, count: int, at: datetime, *, seed: int = 0, wsd: float = 0.03, bias: float = 0.0, **changes: object
) -> list[Pair]:
    """Draw pairs of as many subjects, an hour apart.

    Args:
        again: by what.
        count: how many.
        at: of the first.
        seed: of the draw.
        wsd: within-subject SD of trust, probability, hot area and agreement; of the peak a hundred times that, in mm.
        bias: of every second measurement, in the same way.
        changes: of other fields of every pair.
    """
    draw = np.random.default_rng(seed)
    usual: dict[str, object] = {
        "other": "", "route": "flair", "bundle": "glioma_flair", "model": "m" * 64, "method": "gradcam",
        "scanner": "Acme · One", "protocol": "MR · FLAIR", "label": "glioma", "days_apart": None,
        "registered": NOT_NEEDED,
    }  # fmt: skip
    if again in (Again.REPLAY, Again.VERSION):
        usual["route"] = ""
    found = []
    for number in range(count):
        figures: tuple[dict[str, float], dict[str, float]] = ({}, {})
        for name in ("replicate_spearman", "hot_area", "trust", "probability", *(f"peak_{axis}_mm" for axis in "xyz")):
            scale = 100.0 if name.startswith("peak") else 1.0
            true = scale * draw.normal(0.5, 0.1)
            for which, shift in zip(figures, (0.0, bias), strict=True):
                which[name] = float(true + scale * (shift + draw.normal(0, wsd)))
        between = {"spearman": float(draw.uniform(0.8, 1)), "overlap": 0.9, "peak_distance_mm": float(draw.gamma(2, 2))}
        fields = {**usual, **changes}
        found.append(
            Pair(
                at=at + timedelta(hours=number),
                again=again,
                subject=f"subject {number}",
                first=figures[0],
                second=figures[1],
                between=between,
                **fields,  # type: ignore[arg-type]
            )
        )
    return found


def keep_pairs(engine: Engine, *pairs: list[Pair]) -> None:
    """Put pairs into a store."""
    with engine.begin() as connection:
        keep(connection, [one for some in pairs for one in some])
