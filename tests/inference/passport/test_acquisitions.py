"""What a passport keeps of commissioning's headers, and which headers contradict it."""

from dataclasses import replace
from pathlib import Path

import pytest

from inference.cases.cases import AnnotatedCase
from inference.commissioning.acquisitions import acquisitions_seen
from inference.errors import PassportRefused
from inference.passport.acquisitions import SeenNumbers, SeenWords, contradictions
from inference.passport.passport import SHIPPED_PASSPORTS, load_passport, save_passport, sealed
from inference.reading.elements.acquisition import UNSTATED, Acquisition
from inference.trust.warrant import Warrant

T1CE = Acquisition(
    modality="MR", repetition_time_ms=500, echo_time_ms=12, inversion_recovery=False, scanning_sequence="SE",
    field_strength_t=1.5, contrast_agent=True,
)  # fmt: skip
FLAIR = Acquisition(
    modality="MR", repetition_time_ms=9000, echo_time_ms=120, inversion_time_ms=2500, inversion_recovery=True,
    scanning_sequence="SE\\IR", field_strength_t=3,
)  # fmt: skip


def case(patient: str, acquisition: Acquisition) -> AnnotatedCase:
    return AnnotatedCase(patient, patient, patient, "glioma", 0, "axial", "calibration", True, 0, 0, True, acquisition)


def site(*acquisitions: Acquisition) -> list[AnnotatedCase]:
    """Return two slices of each of so many patients."""
    return [case(f"P{number}", one) for number, one in enumerate(acquisitions) for _ in range(2)]


def t1ce_site(patients: int = 6) -> list[AnnotatedCase]:
    return site(*(replace(T1CE, echo_time_ms=10.0 + number) for number in range(patients)))


def test_traits_are_counted_by_patients():
    seen = acquisitions_seen(t1ce_site())
    assert seen["echo_time_ms"] == SeenNumbers(patients=6, low=10, high=15)
    assert seen["contrast_agent"] == SeenWords(patients=6, values={"named": 6})
    assert seen["inversion_recovery"] == SeenWords(patients=6, values={"no": 6})
    assert "inversion_time_ms" not in seen
    assert "kernel" not in seen


def test_cases_without_headers_leave_nothing():
    assert acquisitions_seen(site(*[UNSTATED] * 9)) == {}


def test_nothing_is_kept_of_what_fewer_than_five_patients_had():
    rare = replace(T1CE, scanning_sequence="SECRET", tube_voltage_kv=80)
    seen = acquisitions_seen(site(*[rare] * 4, *[T1CE] * 6))
    assert seen["scanning_sequence"] == SeenWords(patients=10, values={"SE": 6}, others=4)
    assert "tube_voltage_kv" not in seen
    assert "SECRET" not in repr(seen)
    assert acquisitions_seen(site(*[rare] * 4)) == {}


def test_flair_contradicts_t1_after_contrast_with_both_values_of_every_trait():
    assert contradictions(acquisitions_seen(t1ce_site()), FLAIR) == (
        "Inversion recovery by Scanning Sequence (0018,0020): yes here, no in commissioning (6 patients).",
        "Contrast/Bolus Agent (0018,0010): none here, named in commissioning (6 patients).",
        "Echo Time (0018,0081): 120 ms here, 10 to 15 ms in commissioning (6 patients).",
        "Repetition Time (0018,0080): 9000 ms here, 500 ms in commissioning (6 patients).",
    )


def test_patients_of_the_site_contradict_nothing_of_it():
    cases = [*t1ce_site(), *site(*[replace(FLAIR, contrast_agent=True)] * 2)]
    seen = acquisitions_seen(cases)
    assert not [one for one in cases if contradictions(seen, one.acquisition)]


def test_a_header_that_says_nothing_contradicts_nothing():
    seen = acquisitions_seen(t1ce_site())
    assert contradictions(seen, UNSTATED) == ()
    assert contradictions(seen, Acquisition(modality="MR", kernel="B30")) == ()
    assert contradictions({}, FLAIR) == ()


@pytest.mark.parametrize(("time_ms", "contradicts"), [(5, False), (4.9, True), (30, False), (30.1, True)])
def test_a_time_contradicts_beyond_twice_the_range(time_ms: float, contradicts: bool):
    seen = acquisitions_seen(t1ce_site())
    assert bool(contradictions(seen, replace(T1CE, echo_time_ms=time_ms))) == contradicts


def test_t2_contradicts_flair_by_its_missing_inversion_and_stir_by_its_inversion_time():
    seen = acquisitions_seen(site(*[FLAIR] * 6))
    (no_inversion,) = contradictions(seen, replace(FLAIR, inversion_time_ms=None, inversion_recovery=False))
    (short,) = contradictions(seen, replace(FLAIR, inversion_time_ms=170))
    assert no_inversion.endswith("no here, yes in commissioning (6 patients).")
    assert short == "Inversion Time (0018,0082): 170 ms here, 2500 ms in commissioning (6 patients)."


def test_where_some_patients_had_it_and_others_not_an_agent_decides_nothing():
    seen = acquisitions_seen([*t1ce_site(), *site(*[T1CE] * 6, replace(T1CE, contrast_agent=None))])
    assert seen["contrast_agent"] == SeenWords(patients=7, values={"named": 6}, others=1)
    assert contradictions(seen, replace(T1CE, contrast_agent=None)) == ()


def test_names_of_sequences_are_recorded_and_not_judged():
    seen = acquisitions_seen(t1ce_site())
    assert seen["scanning_sequence"] == SeenWords(patients=6, values={"SE": 6})
    assert contradictions(seen, replace(T1CE, scanning_sequence="GR")) == ()


def test_a_passport_with_acquisitions_is_read_back_and_judges_by_them(tmp_path: Path):
    path = SHIPPED_PASSPORTS / "phantoms" / "glioma_flair_unguided" / "passport.json"
    plain = load_passport(path)
    assert plain.acquisition == {}
    seen = acquisitions_seen(site(*[FLAIR] * 6))
    changed = sealed(replace(plain, acquisition=seen))
    assert changed.digest != plain.digest
    save_passport(changed, tmp_path / "passport.json")
    back = load_passport(tmp_path / "passport.json")
    assert back == changed
    assert Warrant.of(back, alpha=0.2, delta=0.1).acquisition == seen
    text = (tmp_path / "passport.json").read_text(encoding="utf-8")
    (tmp_path / "passport.json").write_text(text.replace('"low": 120.0', '"low": 12.0'), encoding="utf-8")
    with pytest.raises(PassportRefused, match="altered"):
        load_passport(tmp_path / "passport.json")
