"""Blocks of the passport page on the region that a map marks, and on how near its peak lies where it misses."""

from inference.passport.certificates import RegionClaim, TrustedShare, guard_at
from inference.passport.verdict import JUDGED_ALPHA, FittedVerdict
from inference.trust.judge import REGION_SENTENCES
from reports.passport.block import Block, Cell
from reports.passport.cells import fine
from reports.wording import method_name, number

HEAD = (
    "claim", "alpha", "threshold", "bound of the share without", "judged: with such a map", "judged: share without",
    "each class by itself",
)  # fmt: skip


def region_blocks(verdict: FittedVerdict) -> tuple[Block, ...]:
    """Return what is certified of the region beside the peak, and how near misses lie; nothing in older passports."""
    blocks = []
    if verdict.regions:
        words = tuple(_words(claim) for claim in verdict.regions)
        rows = tuple(_row(claim, share) for claim in verdict.regions for share in claim.trusted)
        blocks.append(Block("What the marked region may claim", words, HEAD, rows))
    if verdict.near_misses:
        shares = "; ".join(f"within {pixels} pixels {fine(share)}" for pixels, share in verdict.near_misses.items())
        about = "Of maps whose peak lies outside a finding that is there, so many lie near it, in pixels of the "
        blocks.append(Block("How far off a miss is", (f"{about}network's input: {shares}.",)))
    return tuple(blocks)


def _words(claim: RegionClaim) -> str:
    """Say what a claim is, and how often it holds of the maps, of other patients' maps and of bogus ones."""
    about = REGION_SENTENCES[claim.name]
    if claim.threshold is not None:
        least = ", ".join(f"{name} {value:.2f}" for name, value in claim.least.items())
        about = (
            f"The map above {claim.threshold:.2f} of its range overlaps the finding by more than 95 % of the maps of "
            f"other patients do (intersection over union above: {least})"
        )
    said = f"{about}: it holds of {fine(claim.held)} of the maps judged"
    if claim.null is not None:
        said += f", and of {fine(claim.null)} of other patients' maps in their place"
    if claim.iou is not None and claim.null_iou is not None:
        said += f". Mean intersection over union {fine(claim.iou)}, of other patients' maps {fine(claim.null_iou)}"
    if claim.guards:
        guard = guard_at(claim.guards, JUDGED_ALPHA) or claim.guards[-1]
        said += f". Bogus maps from the threshold at {guard.alpha:.2f} up without it, worst kind: {fine(guard.share)}"
    return f"{said}."


def _row(claim: RegionClaim, share: TrustedShare) -> tuple[Cell, ...]:
    certificate = share.certificate
    first = (Cell(claim.name), Cell(number(certificate.alpha)))
    if certificate.threshold is None or certificate.upper is None:
        return (*first, Cell("none", css="none"), *[Cell("-", css="none")] * 4)
    classes = (
        f"{method_name(name)} {'none' if own.threshold is None else number(own.threshold)}"
        for name, own in share.by_class.items()
    )
    return (
        *first,
        Cell(number(certificate.threshold)),
        Cell(f"{certificate.upper:.3f}"),
        Cell(fine(share.patients)),
        Cell(fine(share.miss)),
        Cell("; ".join(classes)),
    )
