"""Which series of a study are the channels of one input, for bundles that take several."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from inference.bundle.bundle import Bundle
from inference.bundle.manifest_input import ChannelEntry
from inference.bundle.scope import is_channel
from inference.reading.image import Image


def joined_series(images: Sequence[Image], bundle: Bundle) -> tuple[list[Image], list[tuple[Image, str]]]:
    """Join the series of a study that are the channels of one input.

    A series is a channel by the words of its description. Of several that are the same channel the one is taken that
    lies in the first channel's frame of reference, has the most planes and, of equal ones, the lowest UID; a series is
    one channel only, the first it fits.

    Args:
        images: the stacks that the bundle accepts.
        bundle: with ``[[input.channels]]``.

    Returns:
        the input, the first channel with the others as its ``further``; none where a channel is missing. And every
        stack that is in none, with the reason.
    """
    channels = bundle.manifest.input.series
    by_channel = _by_channel(images, channels)
    reason = ""
    for first in by_channel[0]:
        near = [_in_frame_of(first, candidates) for candidates in by_channel[1:]]
        absent = [channel for channel, found in zip(channels[1:], near, strict=True) if not found]
        if not absent:
            chosen = (first, *(found[0] for found in near))
            taken = {id(image) for image in chosen}
            others = [
                (image, "Another series was taken for this channel.") for image in images if id(image) not in taken
            ]
            return [_together(chosen)], others
        reason = reason or _absence(absent, by_channel, channels)
    reason = reason or f"There is no {channels[0].name} in this study."
    return [], [(image, f"{bundle.manifest.name} takes {len(channels)} series. {reason}") for image in images]


def channel_remarks(image: Image, bundle: Bundle) -> tuple[str, ...]:
    """Say which series each channel is; empty where there is but one."""
    pairs = zip(bundle.manifest.input.series, (image, *image.further), strict=False)
    named = "; ".join(f"{channel.name}: {stack.description or 'no description'}" for channel, stack in pairs)
    return (f"Analysed together: {named}.",) if named and image.further else ()


def _by_channel(images: Sequence[Image], channels: Sequence[ChannelEntry]) -> list[list[Image]]:
    """Return the candidates of every channel, the best first."""
    ordered = sorted(images, key=lambda image: (-len(image.frames), image.series_instance_uid, image.stack))
    found: list[list[Image]] = [[] for _ in channels]
    for image in ordered:
        place = next((place for place, channel in enumerate(channels) if is_channel(channel, image)), None)
        if place is not None:
            found[place].append(image)
    return found


def _in_frame_of(first: Image, candidates: Sequence[Image]) -> list[Image]:
    """Return those whose places in the patient are known by the same frame of reference."""
    uid = first.frame_of_reference_uid
    return [image for image in candidates if uid is not None and image.frame_of_reference_uid == uid]


def _absence(
    absent: Sequence[ChannelEntry], by_channel: Sequence[Sequence[Image]], channels: Sequence[ChannelEntry]
) -> str:
    """Say which channels are not there, or lie in another frame of reference."""
    elsewhere = [channel.name for channel in absent if by_channel[channels.index(channel)]]
    missing = [channel.name for channel in absent if channel.name not in elsewhere]
    words = f"There is no {' and no '.join(missing)} in this study." if missing else ""
    if elsewhere:
        names = " and ".join(elsewhere)
        words += f" {names} {'has' if len(elsewhere) == 1 else 'have'} another Frame of Reference UID (0020,0052), or "
        words += f"none, than {channels[0].name}: they cannot be laid over each other."
    return words.strip()


def _together(chosen: Sequence[Image]) -> Image:
    first, *others = chosen
    digest = hashlib.sha256("".join(f"{image.digest}\n" for image in chosen).encode()).hexdigest()
    missing = tuple(dict.fromkeys(sentence for image in chosen for sentence in image.missing))
    return replace(first, further=tuple(others), digest=digest, missing=missing)
