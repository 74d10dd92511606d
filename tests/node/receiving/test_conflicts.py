"""The same UID with other bytes: the same image encoded anew, a corrected Patient ID, or a conflict.

All through a live listener, with real images that DCMTK and pydicom compress.
"""

import json
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID, ImplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from inference.errors import ConflictingInstance
from inference.reading import decoding
from inference.reading.instance import read_file
from inference.reading.layout import layout_of
from inference.reading.pixels import planes_of
from node.receiving import conflicts
from node.receiving.inbox import Outcome
from node.receiving.inspection import Purpose, inspect
from node.settings.limits import Limits
from node.settings.peer import Peer
from node.store import StudyState, studies
from tests.patience import patient

from .intake import Intake, arrival, mr_image, with_meta

IMAGES = ("CT_small.dcm", "MR_small_bigendian.dcm", "emri_small.dcm", "SC_rgb.dcm", "US1_UNCR.dcm")
ENCODED_ANEW = {
    "RLE": ("dcmcrle",),
    "JPEG-LS": ("dcmcjpls",),
    "JPEG lossless": ("dcmcjpeg", "+e1"),
    "implicit": ("dcmconv", "+ti"),
    "big endian": ("dcmconv", "+tb"),
    "undefined lengths": ("dcmconv", "+te", "+e"),
}
PACS = Peer(name="pacs", ae_title="PACS", addresses=("127.0.0.1",), corrects=True)
SCANNER = Peer(name="scanner", ae_title="SENDER", addresses=("127.0.0.1",))
OTHER = Peer(name="workstation", ae_title="OTHER", addresses=("127.0.0.1",))


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Intake]:
    """A listener that knows a scanner, a workstation, and a PACS that may correct."""
    home = tmp_path / "ward"
    home.mkdir(mode=0o700)
    intake = Intake(home, listed=(PACS, SCANNER, OTHER))
    intake.listener.start()
    yield intake
    intake.close()


def real(name: str) -> Dataset:
    return dcmread(str(get_testdata_file(name, download=False)))


def by_dcmtk(name: str, folder: Path, program: str, *options: str) -> Dataset:
    """A file of pydicom's, as a program of DCMTK encodes it."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} of DCMTK is not installed")
    path = folder / "encoded.dcm"
    subprocess.run([program, *options, str(get_testdata_file(name, download=False)), str(path)], check=True)
    return dcmread(path)


def changed(image: Dataset, **values: object) -> Dataset:
    """The same instance with other values."""
    made = deepcopy(image)
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def reason_of(intake: Intake) -> str:
    (record,) = intake.quarantined()
    return str(json.loads(record.read_text())["reason"])


def state_of(intake: Intake) -> str:
    with intake.engine.connect() as connection:
        return str(connection.execute(studies.select()).one().state)


@pytest.mark.peers
@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("command", ENCODED_ANEW.values(), ids=ENCODED_ANEW)
def test_the_same_image_in_another_lossless_transfer_syntax_is_a_success_that_changes_nothing(
    listening: Intake, tmp_path: Path, name: str, command: tuple[str, ...]
) -> None:
    again = by_dcmtk(name, tmp_path, *command)
    assert listening.send(real(name)) == [0x0000]
    (before,) = listening.rows()
    assert listening.send(again, again) == [0x0000, 0x0000]
    assert listening.rows() == [before]
    assert len(listening.files()) == 1
    assert listening.quarantined() == []
    assert len({study.arrivals for study in listening.studies.receiving()}) == 1


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless], ids=lambda uid: UID(uid).name)
def test_the_compressed_image_is_the_plain_one_whichever_comes_first(listening: Intake, syntax: str) -> None:
    plain, packed = real("MR_small.dcm"), real("MR_small.dcm")
    packed.compress(syntax, generate_instance_uid=False)
    assert listening.send(packed) == [0x0000]
    assert listening.send(plain) == [0x0000]
    (row,) = listening.rows()
    assert row.transfer_syntax_uid == syntax


def test_a_wrong_offset_table_makes_the_same_image_no_other_one(listening: Intake) -> None:
    """It is received, compared with the plain image, and read: no frame is lost."""
    plain, packed = real("emri_small.dcm"), real("emri_small_jpeg_2k_lossless.dcm")
    frames = list(generate_frames(packed.PixelData, number_of_frames=10))
    items = encapsulate(frames, fragments_per_frame=2, has_bot=False)[8:]
    wrong = deepcopy(plain)
    wrong.file_meta = deepcopy(packed.file_meta)
    wrong.PixelData = b"\xfe\xff\x00\xe0" + struct.pack("<L10L", 40, *range(0, 100, 10)) + items
    wrong["PixelData"].VR, wrong["PixelData"].is_undefined_length = "OB", True
    assert listening.send(wrong) == [0x0000]
    (path,) = listening.files()
    with decoding.DecodingProcess() as process:
        file = read_file(path)
        planes = planes_of(file, layout_of(file), range(len(frames)), process, failed := {})
        assert np.array_equal(np.stack([plane for _, plane, _ in planes]), plain.pixel_array)
    assert not failed
    assert listening.send(plain) == [0x0000]
    assert len(listening.rows()) == 1


def test_one_pixel_of_another_value_is_a_conflict_in_whatever_transfer_syntax(listening: Intake) -> None:
    plain, packed = real("MR_small.dcm"), real("MR_small.dcm")
    pixels = packed.pixel_array.copy()
    pixels[10, 10] += 1
    packed.compress(RLELossless, pixels, generate_instance_uid=False)
    assert listening.send(plain) == [0x0000]
    assert listening.send(packed) == [0x0111]
    assert "with other pixels" in reason_of(listening)
    assert len(listening.files()) == 1


@pytest.mark.peers
@pytest.mark.parametrize(("program", "option"), [("dcmcjpeg", "+eb"), ("dcmcjpls", "+en")])
def test_a_lossy_copy_under_the_same_uid_is_a_conflict(
    listening: Intake, tmp_path: Path, program: str, option: str
) -> None:
    image = real("US1_UNCR.dcm")
    lossy = by_dcmtk("US1_UNCR.dcm", tmp_path, program, option)
    assert lossy.SOPInstanceUID != image.SOPInstanceUID
    lossy.SOPInstanceUID = lossy.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    assert listening.send(image) == [0x0000]
    assert listening.send(lossy) == [0x0111]
    assert "with other pixels" in reason_of(listening)


def test_a_jpeg_2000_image_that_says_it_was_compressed_with_loss_is_a_conflict(listening: Intake) -> None:
    """The transfer syntax allows both; Lossy Image Compression (0028,2110) tells."""
    plain, packed = real("MR_small.dcm"), real("MR_small.dcm")
    packed.compress(JPEG2000Lossless, generate_instance_uid=False)
    packed.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.91"
    assert listening.send(plain) == [0x0000]
    assert listening.send(packed) == [0x0000]
    packed.LossyImageCompression = "01"
    assert listening.send(packed) == [0x0111]


def test_equal_pixels_with_another_window_are_a_conflict_that_names_the_attribute_and_no_value(
    listening: Intake,
) -> None:
    image = mr_image()
    image.WindowCenter, image.WindowWidth = 40, 400
    assert listening.send(image, changed(image, WindowCenter=50, PatientName="SOMEBODY^ELSE")) == [0x0000, 0x0111]
    assert "PatientName (0010,0010), WindowCenter (0028,1050)" in reason_of(listening)
    assert not any(word in reason_of(listening) for word in ("SOMEBODY", "CANARY", "50,"))


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
def test_a_uid_that_is_here_in_another_study_or_series_is_a_conflict_without_a_comparison(
    listening: Intake, keyword: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "PROGRAM", Path("/nonexistent"))
    image = mr_image()
    assert listening.send(image, changed(image, **{keyword: "1.2.3"})) == [0x0000, 0x0111]
    assert "in another study or series" in reason_of(listening)


def test_a_corrected_patient_id_from_the_first_sender_takes_the_place_of_the_first_which_is_set_aside(
    ward: Intake,
) -> None:
    image = mr_image()
    corrected = changed(image, PatientID="RIGHT-ID", PatientName="RIGHT^PATIENT", AccessionNumber="A1")
    assert ward.send(image) == [0x0000]
    (first,) = ward.rows()
    digest = ward.studies.content_digest(image.StudyInstanceUID)
    assert ward.send(corrected, corrected) == [0x0000, 0x0000]
    (row,) = ward.rows()
    assert row.path != first.path
    assert dcmread(ward.home / "inbox" / row.path).PatientID == "RIGHT-ID"
    assert (row.patient, row.former_patients) == (ward.ledger.pseudonym("RIGHT-ID"), first.patient)
    assert ward.studies.content_digest(image.StudyInstanceUID) != digest
    (record,) = ward.quarantined()
    assert "corrected by SENDER" in record.read_text()
    assert b"CANARY-ID" in record.with_suffix(".bin").read_bytes()
    assert ward.events() == ["patient corrected"]


def test_a_study_that_was_decided_is_opened_again_by_a_correction(ward: Intake) -> None:
    image = mr_image()
    ward.send(image)
    with ward.engine.begin() as connection:
        connection.execute(studies.update().values(state=StudyState.ROUTED, route="all"))
    ward.send(changed(image, PatientID="RIGHT-ID"))
    assert state_of(ward) == StudyState.RECEIVING
    assert [study.arrivals for study in ward.studies.receiving()] == [2]


def test_a_corrected_patient_id_in_another_transfer_syntax_is_taken_too(ward: Intake) -> None:
    plain, packed = real("MR_small.dcm"), real("MR_small.dcm")
    packed.compress(RLELossless, generate_instance_uid=False)
    packed.PatientID = "RIGHT-ID"
    assert ward.send(plain) == ward.send(packed) == [0x0000]
    assert ward.events() == ["patient corrected"]


def test_only_the_first_sender_and_peers_marked_so_may_correct(ward: Intake) -> None:
    image = mr_image()
    corrected = changed(image, PatientID="RIGHT-ID")
    assert ward.send(image) == [0x0000]
    assert ward.send(corrected, calling="OTHER") == [0x0111]
    assert "corrects = true" in reason_of(ward)
    (row,) = ward.rows()
    assert dcmread(ward.home / "inbox" / row.path).PatientID == "CANARY-ID"
    assert ward.send(corrected, calling="PACS") == [0x0000]
    (row,) = ward.rows()
    assert dcmread(ward.home / "inbox" / row.path).PatientID == "RIGHT-ID"


def test_the_first_senders_title_from_another_address_may_not_correct_unless_it_is_listed(
    intake: Intake, ward: Intake
) -> None:
    image = mr_image()
    corrected = replace(arrival(changed(image, PatientID="RIGHT-ID")), peer_address="10.9.9.9")
    intake.inbox.keep(arrival(image))
    with pytest.raises(ConflictingInstance, match="may not correct"):
        intake.inbox.keep(corrected)
    ward.inbox.keep(arrival(image))
    assert ward.inbox.keep(corrected).outcome is Outcome.CORRECTED  # its address was held against its entry


def test_what_comes_as_a_prior_corrects_nothing(ward: Intake) -> None:
    image = mr_image()
    ward.send(image)
    (known,) = ward.studies.instances_of(image.StudyInstanceUID)
    sent = replace(arrival(changed(image, PatientID="RIGHT-ID")), purpose=Purpose.PRIOR)
    with pytest.raises(ConflictingInstance, match="may not correct"):
        ward.inbox._conflicts.relation(sent, inspect(sent), known, known)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"PixelData": bytes(32 * 32 * 2)}, "with other pixels"),
        ({"ImagePositionPatient": [0, 0, 9]}, "ImagePositionPatient (0020,0032)"),
        ({"RescaleSlope": 2}, "RescaleSlope (0028,1053)"),
        ({"PatientID": ""}, "PatientID (0010,0020)"),
    ],
    ids=["pixels", "position", "slope", "no id"],
)
def test_a_correction_of_anything_but_patient_and_order_is_a_conflict(
    ward: Intake, values: dict[str, object], reason: str
) -> None:
    image = mr_image()
    image.ImagePositionPatient, image.RescaleSlope, image.RescaleIntercept = [0, 0, 0], 1, 0
    corrected = changed(image, **{"PatientID": "RIGHT-ID", **values})
    assert ward.send(image, calling="PACS") == [0x0000]
    assert ward.send(corrected, calling="PACS") == [0x0111]
    assert reason in reason_of(ward)


def test_the_former_patient_id_comes_back_only_from_a_peer_that_corrects(ward: Intake) -> None:
    """A scanner that sends its queue again must not undo what was corrected."""
    image = mr_image()
    corrected = [changed(image, PatientID="RIGHT-ID"), changed(image, PatientID="RIGHT-ID-2")]
    assert ward.send(image, *corrected) == [0x0000] * 3
    assert ward.send(image, corrected[0]) == [0x0111] * 2
    assert ward.send(image, calling="PACS") == [0x0000]
    (row,) = ward.rows()
    assert dcmread(ward.home / "inbox" / row.path).PatientID == "CANARY-ID"


def test_equal_corrections_at_once_are_one_correction_and_leave_no_file_of_the_others(ward: Intake) -> None:
    image = mr_image()
    ward.send(image)
    sent = arrival(changed(image, PatientID="RIGHT-ID"))

    def keep(_: int) -> str:
        try:
            return ward.inbox.keep(sent).outcome
        except Exception as error:  # noqa: BLE001 - what was answered is looked at below
            return type(error).__name__

    with ThreadPoolExecutor(4) as pool:
        outcomes = set(pool.map(keep, range(4)))
    assert len(ward.files()) == 2  # the first stays until the next sweep: a job may be reading it
    assert outcomes <= {Outcome.CORRECTED, Outcome.DUPLICATE, "ConflictingInstance", "Unavailable"}
    (row,) = ward.rows()
    assert dcmread(ward.home / "inbox" / row.path).PatientID == "RIGHT-ID"
    assert ward.inbox.sweep() == 1


def test_a_decoder_that_hangs_is_given_up_and_the_conflict_stays_one(
    listening: Intake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = tmp_path / "hanging.py"
    hanging.write_text("import time\ntime.sleep(600)\n")
    monkeypatch.setattr(decoding, "PROGRAM", hanging)
    monkeypatch.setattr(conflicts, "COMPARING_SECONDS", 1.0)
    image = mr_image()
    association = listening.associate(image)
    assert association.send_c_store(image).Status == 0x0000
    started = time.monotonic()
    assert association.send_c_store(changed(image, WindowCenter=1, WindowWidth=2)).Status == 0x0111
    assert time.monotonic() - started < patient(5)
    assert association.send_c_echo().Status == 0x0000
    association.release()
    assert "could not be told within 1 s" in reason_of(listening)


def test_one_instance_of_a_peer_is_compared_at_a_time_and_no_other_peer_waits(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = mr_image()
    intake.inbox.keep(arrival(image))
    again = arrival(with_meta(deepcopy(image), ImplicitVRLittleEndian))
    with intake.inbox._conflicts._turn("127.0.0.1", time.monotonic() + 60):
        assert intake.inbox.keep(replace(again, peer_address="10.9.9.9")).outcome is Outcome.DUPLICATE
        monkeypatch.setattr(conflicts, "COMPARING_SECONDS", 0.2)
        with pytest.raises(ConflictingInstance, match="could not be told"):
            intake.inbox.keep(again)
    monkeypatch.undo()
    assert intake.inbox.keep(again).outcome is Outcome.DUPLICATE


def bomb(image: Dataset, fill: int) -> Dataset:
    """256 Mi pixels in 8 MB of run lengths."""
    made = changed(image, Rows=16384, Columns=16384)
    with_meta(made, RLELossless)
    del made.PixelData
    segment = bytes((0x81, fill)) * (16384 * 16384 // 128)
    made.PixelData = encapsulate([struct.pack("<16L", 2, 64, 64 + len(segment), *[0] * 13) + segment * 2])
    made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
    return made


def test_a_comparison_that_needs_more_memory_than_allowed_stays_a_conflict(tmp_path: Path) -> None:
    intake = Intake(tmp_path, limits=Limits(decoding_mebibytes=512))
    image = mr_image()
    intake.inbox.keep(arrival(bomb(image, 0)))
    with pytest.raises(ConflictingInstance, match="could not be told"):
        intake.inbox.keep(arrival(bomb(image, 1)))
    intake.close()
