"""UIDs say what they were made of."""

import dataclasses
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from reports.objects.roles import ROLES
from reports.objects.uids import ResultUids, uid_of

DIGESTS = ResultUids("aa", "bb", "cc")


EARLIER = {
    "capture": (3, "254147864860831705641267539868535783498", "314447412511390492982116595964429072147"),
    "report": ("x", "209953996378166465044277134598849329471", "151129152316394476968318813783976495135"),
    "parametric_map": (3, "107522606412268051157711011004477270129", "230843699690347923766106241615850333055"),
    "presentation_state": (3, "151560871595991619374266129459428584081", "30850327791741665927439772739284691927"),
    "key_objects": ("x", "299425554399342600350154305511474460808", "170068821234570733808702658832171836942"),
}
"""By role, which instance, and the UIDs of series and instance that release 0.1.0 gave them."""


def roles(uids: ResultUids) -> list[str]:
    return [
        *(uids.series(role) for role in ROLES), *(uids.instance(role) for role in ROLES),
        uids.instance("capture", 0), uids.instance("capture", 1), uids.instance("report", "3 of 4 images"),
        uids.tracking("finding 0"), uids.tracking("series"),
    ]  # fmt: skip


def test_every_role_has_a_uid_of_its_own() -> None:
    assert len(set(roles(DIGESTS))) == len(roles(DIGESTS))


def test_the_same_inputs_give_the_same_uids() -> None:
    assert roles(DIGESTS) == roles(ResultUids("aa", "bb", "cc"))


def test_a_change_of_source_bundle_or_settings_changes_every_uid() -> None:
    for field in dataclasses.fields(ResultUids):
        changed = dataclasses.replace(DIGESTS, **{field.name: "other"})
        assert not set(roles(changed)) & set(roles(DIGESTS))


def test_the_order_of_instances_does_not_matter_but_the_reason_does() -> None:
    uids = ResultUids.of_not_analysed(["1.2", "1.3"], "no route")
    assert uids == ResultUids.of_not_analysed(["1.3", "1.2"], "no route")
    assert uids.instance("report") != ResultUids.of_not_analysed(["1.2", "1.3"], "colour").instance("report")


@settings(max_examples=40)
@given(st.lists(st.text(), min_size=1))
def test_every_uid_is_valid(parts: list[str]) -> None:
    uid = uid_of(*parts)
    assert uid.is_valid
    assert len(uid) <= 64
    assert re.fullmatch(r"2\.25\.(0|[1-9]\d*)", uid)


@settings(max_examples=40)
@given(st.text(), st.text())
def test_parts_do_not_run_into_each_other(left: str, right: str) -> None:
    assert uid_of(left + "x", right) != uid_of(left, "x" + right)


def test_uids_are_those_of_earlier_releases() -> None:
    for role, (which, series, instance) in EARLIER.items():
        assert (DIGESTS.series(role), DIGESTS.instance(role, which)) == (f"2.25.{series}", f"2.25.{instance}")
