"""What each budget of trust costs, and what it loses."""

from collections.abc import Mapping
from typing import Any

from inference.statistics.risk_control import Unit
from inference.trust.budgets import LEFT_OUT
from reports.passport.block import Block, Cell
from reports.passport.cells import bogus_name, bogus_share, fine
from reports.wording import number

Plain = Mapping[str, Any]
TOLD_TIERS = {"A": "AUROC, A", "C": "AUROC, C", "AB": "AUROC, A and B", "ABC": "AUROC, A, B and C"}


def budgets_block(verdict: Plain) -> Block:
    """Give one row a budget: what it leaves out, its passes, how well it tells misses, what it trusts, bogus maps."""
    known = {"full": verdict, **verdict["budgets"]}
    every = {name: known[name] for name in LEFT_OUT if name in known}
    tiers = [name for name in ("A", "C", verdict["use"]) if name in verdict["auroc"]]
    alphas = [entry["certificate"]["alpha"] for entry in _by_patient(verdict)]
    rows = tuple(
        (
            Cell(name, f"leaves out: {LEFT_OUT[name]}"),
            Cell(f"{one['passes']['forward']}, {one['passes']['backward']}"),
            *(_beneath(one["auroc"][tier]["pooled"]["auroc"]) for tier in tiers),
            *(_trusted(entry) for entry in _by_patient(one)),
            _worst(one),
        )
        for name, one in every.items()
    )
    head = (
        "budget", "passes: forward, backward", *(TOLD_TIERS[tier] for tier in tiers),
        *(f"coverage at {number(alpha)}" for alpha in alphas), "worst bogus maps",
    )  # fmt: skip
    words = (
        "The setting trust_budget says how much evidence a verdict may cost. Each budget has a formula and thresholds "
        "of its own, fitted and judged by the same rules on the signals it has; the other tables are of full. Passes: "
        "rows through networks for one map, beside those of its own explanation. Coverage by patient; beneath, the "
        "share of TRUSTED maps that miss. Where bogus maps pass too often, nothing is TRUSTED under that budget. What "
        "a budget leaves out was chosen by cost, with the part judged in sight.",
    )
    return Block("Budgets: what less evidence loses", words, head, rows)


def _by_patient(one: Plain) -> list[Plain]:
    return [entry for entry in one["trusted"] if entry["certificate"]["unit"] == Unit.PATIENT]


def _trusted(entry: Plain) -> Cell:
    if entry["certificate"]["threshold"] is None:
        return Cell("none", css="none")
    cell = _beneath(entry["coverage"])
    return Cell(cell.text, f"{cell.small}; {fine(entry['miss'])} miss")


def _beneath(one: Plain | None) -> Cell:
    return Cell("-") if one is None else Cell(f"{one['value']:.3f}", f"{one['low']:.3f} to {one['high']:.3f}")


def _worst(one: Plain) -> Cell:
    """Give the share of the kind and mode that is believed in most, by patient."""
    found = [
        (by_mode[mode], kind, words)
        for kind, by_mode in one["bogus_trusted_and_wrong"].items()
        for mode, words in (("map_patient", "in place of the map"), ("method_patient", "method-wide"))
    ]
    share, kind, words = max(found, key=lambda each: each[0]["value"])
    cell = bogus_share(share, idle=not any(e["certificate"]["threshold"] is not None for e in _at(one)))
    return Cell(cell.text, f"{bogus_name(kind).text}, {words}" if share["value"] > 0 else "", cell.mark, cell.css)


def _at(one: Plain) -> list[Plain]:
    """Give the entry at the alpha that bogus maps are judged at."""
    return [entry for entry in _by_patient(one) if entry["certificate"]["alpha"] == 0.10]
