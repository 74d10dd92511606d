"""What a passport certifies, in words and tables: the limits, the thresholds, each class, and what they rest on."""

from collections.abc import Sequence

from inference.passport.certificates import OrderSpread, TrustedShare
from inference.passport.verdict import FittedVerdict
from inference.statistics.risk_control import Certificate
from inference.trust.choice import USUALLY_SHOWN
from inference.trust.versions import changed_definitions, fit_anew
from reports.passport.block import Block, Cell
from reports.passport.budgets import by_patient
from reports.passport.cells import fine
from reports.wording import method_name, number

_UNITS = {
    "patients": "The unit is the patient, as the data name them: slices of one are alike.",
    "groups": "The data name no patients. The unit is the group of copies and near copies, and a patient may lie in "
    "several: the promise is weaker.",
}


def limits(verdict: FittedVerdict) -> tuple[str, ...]:
    """Say first what the verdict does not promise."""
    fitted = verdict.counts.fitted
    certificates = [share.certificate for share in by_patient(verdict)]
    sure = [number(certificate.alpha) for certificate in certificates if certificate.threshold is not None]
    unsure = [number(certificate.alpha) for certificate in certificates if certificate.threshold is None]
    confidence, smallest = number(1 - certificates[0].delta), verdict.smallest_alpha.patient
    least = (
        ""
        if smallest is None
        else f"; the smallest that holds is {number(smallest.alpha)}, chosen by these data: a suggestion"
    )
    can = f"alpha {', '.join(sure)}" if sure else "no alpha that was asked for"
    cannot = f" They cannot certify alpha {', '.join(unsure)}: at that alpha nothing is TRUSTED." if unsure else ""
    witness = "" if verdict.witness else " The bundle has no localiser: nothing is TRUSTED, whatever the score."
    changed = changed_definitions(verdict, "full")
    return (
        *([f"Nothing is TRUSTED. {fit_anew(changed)}"] if changed else []),
        f"{_UNITS[verdict.unit]} A certificate speaks of one of them drawn at random from those with a TRUSTED map, "
        f"and of one of the TRUSTED maps shown of theirs ({USUALLY_SHOWN} of a series and class are, those of the "
        "highest score). Alpha: the share of those maps that may miss. It is an average: it says nothing of one "
        f"patient. Of sites that certify something, more than {number(1 - float(confidence))} may exceed alpha: the "
        "confidence counts those that certify nothing, too.",
        f"The {fitted.groups} {verdict.unit} fitted on certify {can}, each at confidence {confidence}{least}.{cannot}",
        f"{_parts(verdict)} It holds for {verdict.unit} "
        "like these, this site and this bundle; nothing is said of findings the classifier did not call. "
        f"P: that the map's peak lies in a true finding; an explained false positive misses.{witness}",
        *_healthy(verdict),
    )


def _parts(verdict: FittedVerdict) -> str:
    fitted, judged = verdict.counts.fitted, verdict.counts.judged
    about = f"{fitted.cases} maps of {fitted.groups} {verdict.unit} ({fitted.hits} hit)"
    if fitted.called:
        about += f", the promising ones of {fitted.called} planes on which something is called"
    if verdict.crossed:
        return f"Fitted on, certified and judged by {about}, each by a fit that did not see the patient: they are few."
    return (
        f"Fitted on {about}, judged on {judged.cases} maps of {judged.groups} other {verdict.unit} ({judged.hits} hit)."
    )


def _healthy(verdict: FittedVerdict) -> tuple[str, ...]:
    """Say what is conditional on disease."""
    fitted = verdict.counts.fitted
    if not fitted.called:
        return ()
    if fitted.healthy:
        return (f"{fitted.healthy} of the {verdict.unit} fitted on had no finding: a map of theirs is a miss.",)
    return (f"None of the {verdict.unit} was without a finding: the certificate is conditional on disease.",)


def trusted_block(shares: Sequence[TrustedShare], *, witness: bool) -> Block:
    """Return what is TRUSTED at each alpha: the certificate, and what became of it on the part judged."""
    head = (
        "alpha", "threshold", "fitted on", "bound of the miss share", "judged: with a TRUSTED map",
        "judged: maps shown that are TRUSTED", "judged: miss share",
    )  # fmt: skip
    words = (
        "A map that is shown is TRUSTED from the threshold up. The threshold is certified on the part fitted on: at "
        "the stated confidence at most alpha of TRUSTED maps miss. With a TRUSTED map: share of those on whom "
        "something is called. Miss share: the mean over patients of the share of their TRUSTED maps that miss, which "
        "is what is certified. None: no threshold holds."
        + " The score is the lower of P by all tiers and P by the localiser alone."
        * witness,
    )
    return Block("What is TRUSTED", words, head, tuple(_trusted_row(share) for share in shares))


def _trusted_row(share: TrustedShare) -> tuple[Cell, ...]:
    certificate = share.certificate
    if certificate.threshold is None or certificate.upper is None:
        return (Cell(number(certificate.alpha)), Cell("none", css="none"), *[Cell("-", css="none")] * 5)
    return (
        Cell(number(certificate.alpha)),
        Cell(number(certificate.threshold)),
        Cell(f"{certificate.misses} of {certificate.trusted} miss, {certificate.groups} patients"),
        Cell(f"{certificate.upper:.3f}"),
        Cell(fine(share.patients)),
        Cell(fine(share.coverage)),
        Cell(fine(share.miss)),
    )


def class_blocks(shares: Sequence[TrustedShare]) -> tuple[Block, ...]:
    """Return the certificate of each class by itself; nothing in passports that have none, or where there is one."""
    names = sorted({name for share in shares for name in share.by_class})
    if len(names) < 2:
        return ()
    words = (
        "A class is asked by itself, too: its maps are TRUSTED from the higher of its own threshold and that of all "
        "classes up, and never where it certifies nothing. The setting certify_classes turns that off.",
    )
    rows = tuple(
        (Cell(method_name(name)), *(_class_cell(share.by_class.get(name)) for share in shares)) for name in names
    )
    head = ("class", *(f"alpha {number(share.certificate.alpha)}" for share in shares))
    return (Block("Certificates by class", words, head, rows),)


def _class_cell(certificate: Certificate | None) -> Cell:
    if certificate is None or certificate.threshold is None:
        groups = 0 if certificate is None else certificate.groups_total
        return Cell("none", f"of {groups} patients or groups", css="none")
    return Cell(
        f"from {number(certificate.threshold)}",
        f"{certificate.misses} of {certificate.trusted} miss, {certificate.groups} of {certificate.groups_total}",
    )


def sensitivity_blocks(verdict: FittedVerdict) -> tuple[Block, ...]:
    """Return what other orders of patients, and groups that are merged, do to the certificate."""
    rows = [
        (Cell(number(share.certificate.alpha)), Cell(f"{verdict.counts.fitted.groups}"), *_spread(share.orders))
        for share in verdict.trusted
        if share.orders is not None
    ]
    rows += [(Cell(number(entry.alpha)), Cell(str(entry.clusters)), *_spread(entry.spread)) for entry in verdict.merged]
    if not rows:
        return ()
    words = [
        "Patients are met in an order drawn beforehand. Certified: in so many of other orders drawn at random; "
        "covered: the share with a TRUSTED map, the middle 95 % of orders. What fewer than half of them certify is not "
        "certified.",
    ]
    if verdict.merged:
        least = verdict.least_alpha
        offered = "no alpha is offered" if least is None or least >= 1 else f"no alpha below {number(least)} is offered"
        words.append(
            "The data name no patients: groups that look alike, of one class and plane, are merged into fewer. An "
            f"alpha that fewer than 90 % of orders certify with half as many is not offered: {offered}."
        )
    head = ("alpha", f"{verdict.unit}", "certified", "covered")
    return (Block("What the certificate rests on", tuple(words), head, tuple(rows)),)


def _spread(spread: OrderSpread) -> tuple[Cell, Cell]:
    return (
        Cell(f"{spread.certified} of {spread.orders}"),
        Cell(f"{spread.lowest:.2f} to {spread.highest:.2f}"),
    )
