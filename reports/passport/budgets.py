"""What each budget of evidence costs, and what it loses."""

from inference.passport.certificates import TrustedShare
from inference.passport.verdict import JUDGED_ALPHA, BudgetVerdict, FittedVerdict
from inference.statistics.risk_control import Unit
from inference.trust.budgets import LEFT_OUT
from reports.passport.block import Block, Cell
from reports.passport.cells import beneath, bogus_name, bogus_share, fine
from reports.wording import number

TIERS_HEAD = {"A": "AUROC, A", "C": "AUROC, C", "AB": "AUROC, A and B", "ABC": "AUROC, A, B and C"}
_WORDS = (
    "The setting trust_budget says how much evidence a verdict may cost. Each budget has a formula and thresholds "
    "of its own, fitted and judged by the same rules on the signals it has; the other tables are of full. Passes: "
    "rows through networks for one map, beside those of its own explanation. Coverage by patient; beneath, the "
    "share of TRUSTED maps that miss. Where bogus maps pass too often, nothing is TRUSTED under that budget. What a "
    "budget leaves out was chosen by cost, with the part judged in sight."
)


def budgets_block(verdict: FittedVerdict) -> Block:
    """Return one row a budget: what it leaves out, its passes, how well it tells misses, what it trusts, bogus maps."""
    known = verdict.by_budget
    tiers = [name for name in ("A", "C", verdict.use) if name in verdict.auroc]
    rows = tuple(
        (
            Cell(name, f"leaves out: {left_out}"),
            Cell("-" if (passes := budget.passes) is None else f"{passes.forward}, {passes.backward}"),
            *(beneath(budget.auroc[tier].pooled.auroc) for tier in tiers),
            *(_trusted(share) for share in by_patient(budget)),
            _worst(budget),
        )
        for name, left_out in LEFT_OUT.items()
        if (budget := known.get(name)) is not None
    )
    head = (
        "budget", "passes: forward, backward", *(TIERS_HEAD[tier] for tier in tiers),
        *(f"coverage at {number(share.certificate.alpha)}" for share in by_patient(verdict)), "worst bogus maps",
    )  # fmt: skip
    return Block("Budgets: what less evidence loses", (_WORDS,), head, rows)


def by_patient(verdict: BudgetVerdict) -> list[TrustedShare]:
    """Return the shares that are certified by patient, one an alpha."""
    return [share for share in verdict.trusted if share.certificate.unit is Unit.PATIENT]


def is_idle(verdict: BudgetVerdict) -> bool:
    """Whether no threshold is certified by patient at the alpha that bogus maps are judged at."""
    return all(
        share.certificate.threshold is None for share in by_patient(verdict) if share.certificate.alpha == JUDGED_ALPHA
    )


def _trusted(share: TrustedShare) -> Cell:
    if share.certificate.threshold is None:
        return Cell("none", css="none")
    cell = beneath(share.coverage)
    return Cell(cell.text, f"{cell.small}; {fine(share.miss)} miss")


def _worst(verdict: BudgetVerdict) -> Cell:
    """Return the share of the kind and mode that is believed in most, by patient."""
    shares = [
        (share, kind, words)
        for kind, by_mode in verdict.bogus_trusted_and_wrong.items()
        for share, words in ((by_mode.map_patient, "in place of the map"), (by_mode.method_patient, "method-wide"))
    ]
    share, kind, words = max(shares, key=lambda row: row[0].value)
    cell = bogus_share(share, idle=is_idle(verdict))
    return Cell(cell.text, f"{bogus_name(kind).text}, {words}" if share.value > 0 else "", cell.mark, cell.css)
