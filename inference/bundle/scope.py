"""Whether a bundle is meant for a series: every objection in the words of a PACS administrator."""

from inference.bundle.manifest import Manifest
from inference.reading.image import Image


def objections(manifest: Manifest, image: Image) -> tuple[str, ...]:
    """Give every reason why a series is outside what the bundle accepts; empty where there is none."""
    wanted = manifest.input
    count = len(image.frames)
    found: list[str] = []
    if image.modality not in wanted.modality:
        found.append(f"modality {image.modality or 'absent'}, not {' or '.join(wanted.modality)}")
    if wanted.body_part and image.body_part not in wanted.body_part:
        found.append(f"body part {image.body_part or 'absent'}, not {_listed(wanted.body_part)}")
    if wanted.plane and image.plane not in wanted.plane:
        found.append(f"plane {image.plane or 'unknown'}, not {_listed(wanted.plane)}")
    if count < wanted.minimum_frames:
        found.append(f"{count} {'image' if count == 1 else 'images'}, at least {wanted.minimum_frames} needed")
    if wanted.maximum_frames is not None and count > wanted.maximum_frames:
        found.append(f"{count} images, at most {wanted.maximum_frames} accepted")
    words = wanted.description_contains
    if words and not any(word.lower() in image.description.lower() for word in words):
        found.append(f"neither series description nor protocol name says {_listed(words)}")
    return tuple(found)


def _listed(words: tuple[str, ...]) -> str:
    return " or ".join(word or "absent" for word in words)
