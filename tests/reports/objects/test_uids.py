"""UIDs say what they were made of."""

import dataclasses
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from reports.objects.uids import ResultUids, uid_of

DIGESTS = ResultUids("aa", "bb", "cc")


def roles(uids: ResultUids) -> list[str]:
    return [
        uids.capture_series(), uids.capture(0), uids.capture(1), uids.report_series(), uids.report(),
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
    assert uids.report() != ResultUids.of_not_analysed(["1.2", "1.3"], "colour").report()


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
