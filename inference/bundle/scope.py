"""Whether a bundle is meant for a series: every objection in the words of a PACS administrator."""

from inference.bundle.manifest import Manifest
from inference.reading.image import Image


def objections(manifest: Manifest, image: Image) -> tuple[str, ...]:
    """Return every reason why a series is outside what the bundle accepts; empty where there is none."""
    accepted = manifest.input
    count = len(image.frames)
    reasons: list[str] = []
    if image.modality not in accepted.modality:
        reasons.append(f"modality {image.modality or 'absent'}, not {' or '.join(accepted.modality)}")
    if accepted.body_part and image.body_part not in accepted.body_part:
        reasons.append(f"body part {image.body_part or 'absent'}, not {_listed(accepted.body_part)}")
    if accepted.plane and image.plane not in accepted.plane:
        reasons.append(f"plane {image.plane or 'unknown'}, not {_listed(accepted.plane)}")
    if count < accepted.minimum_frames:
        reasons.append(f"{count} {'image' if count == 1 else 'images'}, at least {accepted.minimum_frames} needed")
    if accepted.maximum_frames is not None and count > accepted.maximum_frames:
        reasons.append(f"{count} images, at most {accepted.maximum_frames} accepted")
    words = accepted.description_contains
    if words and not any(word.lower() in image.description.lower() for word in words):
        reasons.append(f"neither series description nor protocol name says {_listed(words)}")
    return tuple(reasons)


def _listed(words: tuple[str, ...]) -> str:
    return " or ".join(word or "absent" for word in words)
