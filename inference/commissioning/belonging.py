"""Whether a passport is about this bundle and these cases, and with what settings it was made."""

from dataclasses import fields
from typing import Any, cast

from inference.bundle.bundle import Bundle
from inference.cases.cases import Cases
from inference.commissioning.measuring.settings import CommissionSettings, Device
from inference.errors import PassportRefused
from inference.passport.passport import Passport


def check_bundle(passport: Passport, bundle: Bundle) -> None:
    """Compare the bundle's digest with the passport's.

    Raises:
        PassportRefused: it is about another bundle.
    """
    if bundle.identity.digest != passport.bundle.digest:
        raise PassportRefused(
            f"The passport is about {passport.bundle.name} {passport.bundle.version} ({passport.bundle.digest[:12]}), "
            f"not about this bundle ({bundle.identity.digest[:12]}).",
            cure="Commission this bundle.",
        )


def check_data(passport: Passport, cases: Cases) -> None:
    """Compare the digest of the cases with the passport's.

    Raises:
        PassportRefused: the digests differ.
    """
    if cases.digest != passport.data.digest:
        raise PassportRefused(
            f"The data are not those of the passport: their digest is {cases.digest[:12]}, not "
            f"{passport.data.digest[:12]} ({len(cases.entries)} cases now, "
            f"{sum(split.cases for split in passport.data.splits.values())} then)."
        )


def settings_of(passport: Passport, device: Device) -> CommissionSettings:
    """Return the settings the passport was made with, for a device of one's own."""
    known = {field.name for field in fields(CommissionSettings)}
    kept = {name: value for name, value in passport.settings.items() if name in known}
    return CommissionSettings(**cast("dict[str, Any]", {**kept, "device": device}))
