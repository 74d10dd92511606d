"""What viewers were seen to show of the results, and the ``objects`` proposed for a destination that is read with one.

The guide's table (deploy/guide/reading-a-result.md) says the same; ``tests/peers`` has what was tried.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from inference.errors import Misconfigured
from reports.objects.roles import ALWAYS, ROLES

EVERYWHERE = (*ALWAYS, "details")
"""Proposed whatever the viewer: pictures, which every viewer shows, and the report, which programs read."""


@dataclass(frozen=True, slots=True)
class ViewerProfile:
    """One viewer."""

    title: str
    tried: Mapping[str, bool]
    """By role of ``reports.objects.roles``: whether it is shown; absent: not tried."""

    @property
    def objects(self) -> tuple[str, ...]:
        """Kinds of result that are proposed: those of ``EVERYWHERE`` and what was seen to be shown."""
        return tuple(role for role in ROLES if role in EVERYWHERE or self.tried.get(role))


VIEWERS: Mapping[str, ViewerProfile] = {
    "ohif": ViewerProfile(
        "OHIF 3.13",
        {
            "capture": True,
            "details": True,
            "negative_capture": True,
            "report": True,
            "segmentation": True,
            "parametric_map": True,
            "presentation_state": False,
            "key_objects": False,
        },
    ),
    "orthanc": ViewerProfile("Orthanc's web viewer", dict.fromkeys(("capture", "details", "negative_capture"), True)),
    "dwv": ViewerProfile("dwv 0.36", dict.fromkeys(("capture", "details", "negative_capture"), True)),
    "other": ViewerProfile("any other viewer", {}),
}
"""By the name that ``heatproof config objects`` takes."""


def proposal(viewer: str) -> str:
    """Return the lines of a destination's table for a viewer, with what was and was not tried as comments.

    Raises:
        Misconfigured: there is no such viewer.
    """
    profile = VIEWERS.get(viewer.lower())
    if profile is None:
        raise Misconfigured(f"{viewer!r} is not a known viewer.", cure=f"Known are {', '.join(VIEWERS)}.")
    lines = [f"# For destinations that are read with {profile.title}; below [[destinations]]:"]
    hidden = [role for role, shown in profile.tried.items() if not shown]
    unknown = [role for role in ROLES if role not in profile.tried]
    if hidden:
        lines.append(f"# not shown there: {', '.join(hidden)}")
    if unknown:
        lines.append(f"# not tried there: {', '.join(unknown)}")
    lines.append(f"objects = {json.dumps(list(profile.objects))}")
    return "\n".join(lines) + "\n"
