"""Whether a bundle is meant for a stack: every objection in the words of a PACS administrator."""

from collections.abc import Sequence

from inference.bundle.manifest import Manifest
from inference.bundle.manifest_input import ChannelEntry, SequenceEntry
from inference.reading.elements.acquisition import Acquisition
from inference.reading.image import Image


def objections(manifest: Manifest, image: Image, wanted: Sequence[str] = ()) -> tuple[str, ...]:
    """Return every reason why a stack is outside what the bundle accepts; empty where there is none.

    Args:
        manifest: of the bundle.
        image: the stack.
        wanted: words of a rule, one of which must stand in what tells the stack from the others of its series.
    """
    accepted = manifest.input
    count = len(image.frames)
    reasons: list[str] = []
    if image.modality not in accepted.modality:
        reasons.append(f"modality {image.modality or 'absent'}, not {' or '.join(accepted.modality)}")
    if accepted.body_part and image.body_part not in accepted.body_part:
        reasons.append(f"body part {image.body_part or 'absent'}, not {_listed(accepted.body_part)}")
    if accepted.plane and image.plane not in accepted.plane:
        reasons.append(f"plane {image.plane or 'unknown'}, not {_listed(accepted.plane)}")
    if image.colour != (accepted.colour is True):
        reasons.append("grey image, not in colour" if accepted.colour is True else "image in colour, not grey")
    if image.localiser:
        reasons.append("a localiser (Image Type (0008,0008)), planes to plan other series with")
    if count < accepted.minimum_frames:
        reasons.append(f"{count} {'image' if count == 1 else 'images'}, at least {accepted.minimum_frames} needed")
    if accepted.maximum_frames is not None and count > accepted.maximum_frames:
        reasons.append(f"{count} images, at most {accepted.maximum_frames} accepted")
    words = accepted.description_contains
    if words and not _says(image.description, words):
        reasons.append(f"neither series description nor protocol name says {_listed(words)}")
    if accepted.series and not any(is_channel(channel, image) for channel in accepted.series):
        names = ", ".join(channel.name for channel in accepted.series)
        reasons.append(f"by its description none of the series it takes ({names})")
    reasons += [
        f"stack {image.stack}, not {_listed(words)}"
        for words in (accepted.stack_contains, tuple(wanted))
        if words and image.stack and not _says(image.stack, words)
    ]
    if accepted.sequence is not None:
        reasons += _of_sequence(accepted.sequence, image.acquisition)
    return tuple(reasons)


def _of_sequence(accepted: SequenceEntry, acquisition: Acquisition) -> list[str]:
    """Return what a header says of the MR sequence that the bundle does not take; nothing of what it does not say."""
    inverted, agent = acquisition.inversion_recovery, acquisition.contrast_agent
    reasons = []
    if None not in (inverted, accepted.inversion_recovery) and inverted != accepted.inversion_recovery:
        reasons.append("an inversion recovery" if inverted else "no inversion recovery (Scanning Sequence)")
    if None not in (agent, accepted.contrast_agent) and agent != accepted.contrast_agent:
        reasons.append("with a contrast agent" if agent else "without a contrast agent")
    times = (
        ("echo time", acquisition.echo_time_ms, accepted.echo_time_ms),
        ("repetition time", acquisition.repetition_time_ms, accepted.repetition_time_ms),
        ("inversion time", acquisition.inversion_time_ms, accepted.inversion_time_ms),
    )
    return reasons + [
        f"{name} {time:g} ms, not {allowed[0]:g} to {allowed[1]:g} ms"
        for name, time, allowed in times
        if time is not None and allowed is not None and not allowed[0] <= time <= allowed[1]
    ]


def is_channel(channel: ChannelEntry, image: Image) -> bool:
    """Whether a stack is of the series that is a channel of a bundle's input, by the words of its description."""
    words, lacking, stack = channel.description_contains, channel.description_lacks, channel.stack_contains
    return (
        (not words or _says(image.description, words))
        and not _says(image.description, lacking)
        and (not stack or _says(image.stack, stack))
    )


def too_many_missing(manifest: Manifest, image: Image) -> str:
    """Say that more planes are missing inside a stack than the bundle accepts; empty: there are not."""
    missing, allowed = image.spacing.missing, manifest.missing_allowed
    planes = missing + len(image.frames)
    if not allowed and image.missing and not missing:
        return f"{manifest.name} accepts no stack with missing planes. {' '.join(image.missing)}"
    if missing / planes <= allowed:
        return ""
    limit = f"at most {allowed:.0%}" if allowed else "none"
    return f"{missing} of {planes} planes are missing inside the stack; {manifest.name} accepts {limit}."


def _says(text: str, words: Sequence[str]) -> bool:
    return any(word.lower() in text.lower() for word in words)


def _listed(words: Sequence[str]) -> str:
    return " or ".join(word or "absent" for word in words)
