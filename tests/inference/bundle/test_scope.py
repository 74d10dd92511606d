"""The MR sequence that a bundle takes: what a header says against it is an objection, what it does not say is none."""

from pathlib import Path

import pytest

from inference.bundle.bundle import load_bundle
from inference.errors import NotAnalysed
from inference.porting.seal import seal
from inference.reading.account import Disposition
from inference.reading.elements.acquisition import Acquisition
from inference.reading.study import read_series
from inference.selection import account_for

T1CE = "sequence = { echo_time_ms = [0, 40], inversion_time_ms = [0, 1500], contrast_agent = true }\n"
FLAIR = "sequence = { echo_time_ms = [60, 700], inversion_time_ms = [1400, 3500], inversion_recovery = true }\n"


@pytest.fixture
def bundle_of(bundle_folder: Path):
    """Return a function that seals the tiny bundle with lines more in [input]."""

    def make(lines: str):
        manifest = bundle_folder / "heatproof.toml"
        manifest.write_text(manifest.read_text().replace("minimum_frames", f"{lines}minimum_frames"))
        seal(bundle_folder)
        return load_bundle(bundle_folder)

    return make


@pytest.mark.parametrize(
    ("lines", "header", "reason"),
    [
        pytest.param(T1CE, {}, "", id="a header that says nothing"),
        pytest.param(T1CE, {"EchoTime": 12, "ContrastBolusAgent": "Gd", "ScanningSequence": "SE"}, "", id="T1 SE"),
        pytest.param(T1CE, {"EchoTime": 3, "InversionTime": 900, "ScanningSequence": ["GR", "IR"]}, "", id="MPRAGE"),
        pytest.param(
            T1CE, {"EchoTime": 120, "InversionTime": 2500},
            "echo time 120 ms, not 0 to 40 ms; inversion time 2500 ms, not 0 to 1500 ms", id="FLAIR for T1",
        ),
        pytest.param(
            T1CE, {"EchoTime": 12, "ContrastBolusAgent": "NONE"}, "without a contrast agent", id="T1 before contrast"
        ),
        pytest.param(FLAIR, {"EchoTime": 120, "InversionTime": 2500, "ScanningSequence": "SE"}, "", id="FLAIR"),
        pytest.param(
            FLAIR, {"EchoTime": 100, "ScanningSequence": "SE"}, "no inversion recovery (Scanning Sequence)", id="T2"
        ),
        pytest.param(
            "sequence = { inversion_recovery = false, contrast_agent = false, repetition_time_ms = [2000, 9000] }\n",
            {"ScanningSequence": "IR", "ContrastBolusAgent": "Gd", "RepetitionTime": 500},
            "an inversion recovery; with a contrast agent; repetition time 500 ms, not 2000 to 9000 ms",
            id="every other key",
        ),
    ],
)  # fmt: skip
def test_a_bundle_objects_to_a_sequence_that_its_manifest_does_not_take(
    lines, header, reason, bundle_of, write_series, head
):
    objection = bundle_of(lines).objection(read_series(write_series(head, **header)))
    assert objection == (f"tampered does not accept this series: {reason}." if reason else "")


def test_a_series_of_another_sequence_is_not_analysed_and_the_reason_is_in_the_account(bundle_of, write_series, head):
    bundle = bundle_of(T1CE)
    selection = account_for(write_series(head, EchoTime=120), bundle)
    assert not selection.reading.images
    (reason,) = selection.reading.reasons(Disposition.NOT_MEANT)
    assert "echo time 120 ms, not 0 to 40 ms" in reason


def test_a_manifest_without_a_sequence_takes_every_one(bundle_of, write_series, head):
    image = read_series(write_series(head, EchoTime=120, InversionTime=2500))
    assert image.acquisition == Acquisition(
        modality="MR", echo_time_ms=120, inversion_time_ms=2500, inversion_recovery=True
    )
    assert bundle_of("").objection(image) == ""
    with pytest.raises(NotAnalysed, match="echo time"):
        bundle_of(T1CE).accepts(image)
