"""What a figure would be without any relation: the same comparison with maps of other subjects of the same class."""

from collections.abc import Sequence

import numpy as np

from inference.criteria.agreement import Scores, referenced
from inference.trust.verdict import Signal

RESAMPLES = 2000
"""Bootstrap samples behind an interval."""


def signal(name: str, meaning: str, value: float, *, nulls: Sequence[Scores], seed: int) -> Signal:
    """Put one figure beside its null: mean over subjects, with a 95 % bootstrap interval over them.

    Args:
        name: machine name.
        meaning: one line for a person.
        value: the figure for this case.
        nulls: for each network compared with, the figure for each other subject, (subjects,); empty: no null.
        seed: of the resampling.
    """
    if not nulls:
        return Signal(name, meaning, "A", value, None, None, 0, None, None)
    subjects = np.mean(np.stack(nulls), axis=0)
    drawn = np.random.default_rng(seed).integers(0, len(subjects), size=(RESAMPLES, len(subjects)))
    low, high = (float(edge) for edge in np.quantile(subjects[drawn].mean(axis=1), [0.025, 0.975]))
    null = float(subjects.mean())
    edges = [referenced(value, edge) for edge in (low, high)]
    known = sorted(edge for edge in edges if edge is not None)
    return Signal(
        name=name,
        meaning=meaning,
        tier="A",
        value=value,
        null=null,
        null_interval=(low, high),
        null_count=len(subjects),
        referenced=referenced(value, null),
        referenced_interval=(known[0], known[1]) if len(known) == 2 else None,
    )
