"""How a series was acquired is read from where the standard has it, and what the header does not say is None."""

from dataclasses import asdict

import pytest
from pydicom import Dataset

from inference import archive
from inference.reading.elements.acquisition import UNSTATED, Acquisition, acquisition_of
from inference.reading.study import read_series
from tests.inference.reading.files import enhanced, item

FLAIR = {
    "RepetitionTime": 9000, "EchoTime": 120, "InversionTime": 2500, "ScanningSequence": ["SE", "IR"],
    "SequenceVariant": ["SK", "SP"], "MRAcquisitionType": "2D", "MagneticFieldStrength": 3, "ContrastBolusAgent": "",
}  # fmt: skip


def test_a_classic_image_says_how_it_was_acquired(write_series, head):
    said = read_series(write_series(head, **FLAIR)).acquisition
    assert said == Acquisition(
        modality="MR", repetition_time_ms=9000, echo_time_ms=120, inversion_time_ms=2500, inversion_recovery=True,
        scanning_sequence="SE\\IR", sequence_variant="SK\\SP", acquisition_type="2D", field_strength_t=3,
    )  # fmt: skip
    assert said.is_stated


def test_an_enhanced_object_says_the_same_in_its_functional_groups(write_series, head):
    def groups(_index: int, of_frame: Dataset) -> None:
        of_frame.MRTimingAndRelatedParametersSequence = [item(RepetitionTime=9000)]
        of_frame.MREchoSequence = [item(EffectiveEchoTime=120)]
        of_frame.MRModifierSequence = [item(InversionRecovery="YES", InversionTimes=[2500])]
        of_frame.ContrastBolusUsageSequence = [item(ContrastBolusAgentNumber=1, ContrastBolusAgentAdministered="NO")]

    paths = write_series(
        head, EchoPulseSequence="SPIN", MRAcquisitionType="3D", MagneticFieldStrength=1.5,
        ContrastBolusAgentSequence=[item(ContrastBolusAgentNumber=1)], RepetitionTime=1, EchoTime=2, InversionTime=3,
    )  # fmt: skip
    assert read_series([enhanced(paths, groups)]).acquisition == Acquisition(
        modality="MR", repetition_time_ms=9000, echo_time_ms=120, inversion_time_ms=2500, inversion_recovery=True,
        scanning_sequence="SE\\IR", acquisition_type="3D", field_strength_t=1.5, contrast_agent=False,
    )  # fmt: skip


def test_ct_says_tube_voltage_kernel_and_agent():
    header = item(Modality="CT", KVP=120, ConvolutionKernel=["B30f", "3"], ContrastBolusAgent="Iomeron 350")
    assert acquisition_of(header) == Acquisition(
        modality="CT", tube_voltage_kv=120, kernel="B30F\\3", contrast_agent=True
    )


@pytest.mark.parametrize(
    ("header", "recovers"),
    [
        pytest.param({"ScanningSequence": "SE", "InversionTime": 0}, False, id="spin echo, 0 written for none"),
        pytest.param({"ScanningSequence": ["GR", "IR"]}, True, id="by Scanning Sequence alone"),
        pytest.param({"ScanningSequence": "SE", "InversionTime": 2200}, True, id="by Inversion Time alone"),
        pytest.param({"EchoTime": 90}, None, id="neither is there"),
    ],
)
def test_an_inversion_is_known_by_either_element(header, recovers):
    assert acquisition_of(item(**header)).inversion_recovery is recovers


@pytest.mark.parametrize(
    ("written", "named"),
    [("Gadovist", True), ("none", False), ("NO", False), ("", None), (None, None)],
)
def test_a_contrast_agent_is_named_said_to_be_none_or_left_open(written, named):
    header = item(EchoTime=90) if written is None else item(EchoTime=90, ContrastBolusAgent=written)
    assert acquisition_of(header).contrast_agent is named


def test_a_field_strength_in_gauss_is_in_tesla_here():
    assert acquisition_of(item(MagneticFieldStrength=15000)).field_strength_t == 1.5


def test_what_is_absent_empty_or_unreadable_says_nothing():
    assert acquisition_of(Dataset()) == UNSTATED
    broken = item(RepetitionTime="", ScanningSequence=[], KVP=None)
    broken.add_new("EchoTime", "LO", "ninety")
    broken.add_new("MagneticFieldStrength", "LO", "-1")
    assert acquisition_of(broken) == UNSTATED
    assert not UNSTATED.is_stated


def test_an_acquisition_comes_back_from_disk_the_same(tmp_path):
    said = (Acquisition(modality="MR", echo_time_ms=90.5, inversion_recovery=False, kernel="B30f"), UNSTATED)
    archive.save(said, tmp_path, "acquisitions")
    back = archive.load(tuple[Acquisition, ...], tmp_path, "acquisitions")
    assert [asdict(one) for one in back] == [asdict(one) for one in said]
