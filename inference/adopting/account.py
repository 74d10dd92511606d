"""What adopting a network came to, in plain words: what was reached, what was not, and which next step buys most."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from inference.adopting.classes import class_sentences, tells_nothing
from inference.adopting.pointing import Pointing, pointing_of, pointing_sentences
from inference.adopting.steps import NextStep, next_steps
from inference.companions.report import CompanionReport
from inference.passport.certificates import TrustedShare
from inference.passport.passport import Passport
from inference.passport.verdict import NO_OUTLINES, FittedVerdict, NoVerdict
from inference.trust.judge import NAMES_OF_BOGUS
from inference.trust.warrant import Warrant

Figure = str | float | int | bool | None


@dataclass(frozen=True)
class AdoptionAccount:
    """The page's content."""

    bundle: str
    """Name of the bundle that was commissioned."""
    first: str
    """The first line: how far the maps of this network can be believed."""
    is_trusted: bool
    """Whether a map of this bundle can be TRUSTED."""
    is_deployable: bool
    """Whether a node can give verdicts with the passport."""
    reached: tuple[str, ...]
    missing: tuple[str, ...]
    steps: tuple[NextStep, ...]
    """Best first."""
    figures: Mapping[str, Figure] = field(default_factory=dict)


def account_of(report: CompanionReport, passport: Passport, *, alpha: float, delta: float) -> AdoptionAccount:
    """Say what companions and commissioning came to.

    Args:
        report: on the companions.
        passport: of the bundle that was commissioned.
        alpha: largest share of TRUSTED maps that may miss, as the node will have it.
        delta: 1 - confidence of that.

    Raises:
        Refused: alpha or delta out of range.
    """
    verdict = passport.verdict if isinstance(passport.verdict, FittedVerdict) else None
    warrant = None if verdict is None else Warrant.of(passport, alpha=alpha, delta=delta)
    obstacles = tuple(_obstacles(passport, verdict, warrant))
    pointing, hopeless = pointing_of(passport, report), tells_nothing(passport)
    trusted = verdict is not None and not obstacles
    reached, missing = _classifier(passport, hopeless=hopeless)
    told = [*pointing_sentences(passport, pointing), *class_sentences(passport, report)]
    reached += [sentence for good, sentence in told if good]
    missing += [*obstacles, *(sentence for good, sentence in told if not good), *report.left_out]
    if verdict is not None and warrant is not None and warrant.certificate.threshold is not None:
        reached.insert(0, _certified(warrant))
    return AdoptionAccount(
        bundle=passport.bundle.name,
        first=_first(passport, warrant, hopeless=hopeless, obstacles=obstacles),
        is_trusted=trusted,
        is_deployable=verdict is not None,
        reached=tuple(dict.fromkeys(reached)),
        missing=tuple(dict.fromkeys(missing)),
        steps=next_steps(report, passport, warrant, pointing, hopeless=hopeless),
        figures=_figures(report, passport, warrant, pointing),
    )


def _first(passport: Passport, warrant: Warrant | None, *, hopeless: bool, obstacles: tuple[str, ...]) -> str:
    if hopeless:
        return (
            "This network tells the classes apart no better than chance on your cases: no map of it can be believed, "
            "and nothing below mends that."
        )
    if isinstance(passport.verdict, NoVerdict) and passport.verdict.reason == NO_OUTLINES:
        return NO_OUTLINES
    if warrant is None:
        return f"No verdict could be fitted, and no map is ever TRUSTED: {_reason(passport)}"
    if obstacles:
        return f"No map of this network is TRUSTED yet, CAUTION is the most there is: {obstacles[0]}"
    return f"Maps of this network can be TRUSTED here. {_promise(warrant)}"


def _reason(passport: Passport) -> str:
    return passport.verdict.reason if isinstance(passport.verdict, NoVerdict) else "it was not asked for."


def _promise(warrant: Warrant) -> str:
    certificate = warrant.certificate
    return (
        f"At most {certificate.alpha:.0%} of TRUSTED maps miss the finding, at {1 - certificate.delta:.0%} confidence, "
        f"by {warrant.unit}."
    )


def _certified(warrant: Warrant) -> str:
    certificate = warrant.certificate
    return (
        f"Certified: alpha {certificate.alpha:g} at {1 - certificate.delta:.0%} confidence, from P = "
        f"{certificate.threshold:.2f} on; {certificate.misses} of {certificate.trusted} such maps miss, of "
        f"{certificate.groups} {warrant.unit}."
    )


def _obstacles(passport: Passport, verdict: FittedVerdict | None, warrant: Warrant | None) -> Iterator[str]:
    """Name what keeps every map from being TRUSTED, as the node decides it."""
    if verdict is None or warrant is None:
        yield "There is no verdict." if passport.verdict is None else _reason(passport)
        return
    if warrant.gate_failures:
        kinds = ", ".join(NAMES_OF_BOGUS.get(kind, kind) for kind in warrant.gate_failures)
        yield f"The gate is shut: its maps do not hit findings clearly more often than {kinds}; the node shows none."
    if warrant.witness_calibrator is None:
        yield "There is no independent localiser: without one no map is TRUSTED."
    certificate = warrant.certificate
    if certificate.threshold is None:
        possible = "" if warrant.possible_alpha is None else f"; alpha {warrant.possible_alpha:g} can be"
        yield (
            f"Alpha {certificate.alpha:g} cannot be certified on the {certificate.groups_total} {warrant.unit} with a "
            f"map{possible}."
        )
    if warrant.believed:
        kinds = ", ".join(NAMES_OF_BOGUS.get(kind, kind) for kind in warrant.believed)
        yield f"Bogus maps are believed in too often in the place of its own: {kinds}."
    yield from warrant.changed


def _classifier(passport: Passport, *, hopeless: bool) -> tuple[list[str], list[str]]:
    accuracy, counts = passport.classification.accuracy, passport.data.splits[passport.data.judged]
    if accuracy.value is None:
        return [], ["The accuracy could not be measured."]
    edges = "" if accuracy.ci is None else f" [{accuracy.ci[0]:.2f}, {accuracy.ci[1]:.2f}]"
    text = f"The network is right about {accuracy.value:.2f}{edges} of {counts.cases} cases."
    if not hopeless and accuracy.value == 1.0:
        text = f"The network is right about every one of {counts.cases} cases."
    return ([], [text]) if hopeless else ([text], [])


def _figures(
    report: CompanionReport, passport: Passport, warrant: Warrant | None, pointing: Pointing
) -> dict[str, Figure]:
    guidance = report.guidance
    figures: dict[str, Figure] = {
        "accuracy": passport.classification.accuracy.value,
        "hit_rate": pointing.hit,
        "hit_rate_of_best_control": pointing.control_hit,
        "best_control": pointing.control,
        "hit_rate_of_localiser": pointing.witness_hit,
        "guidance_taken": None if guidance is None else guidance.taken,
        "hit_rate_before_guidance": None if guidance is None else guidance.hit_given.value,
        "hit_rate_guided": None if guidance is None else guidance.hit_guided.value,
        "hit_rate_of_average_mask": None if guidance is None else guidance.hit_average_mask.value,
    }
    if warrant is not None and isinstance(passport.verdict, FittedVerdict):
        smallest = passport.verdict.smallest_alpha.patient
        share = _share_at(passport.verdict.trusted, warrant.certificate.alpha)
        figures |= {
            "smallest_alpha": None if smallest is None else smallest.alpha,
            "alpha": warrant.certificate.alpha,
            "threshold": warrant.certificate.threshold,
            "share_trusted": None if share is None or share.coverage is None else share.coverage.value,
            "share_of_trusted_that_miss": None if share is None or share.miss is None else share.miss.value,
        }
    return figures


def _share_at(shares: tuple[TrustedShare, ...], alpha: float) -> TrustedShare | None:
    return next((share for share in shares if abs(share.certificate.alpha - alpha) < 1e-9), None)
