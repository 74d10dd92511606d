"""A phantom written as MR Image Storage instances, one axial series (DICOM PS3.3 A.4)."""

import hashlib
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

from inference.phantom.phantom import Phantom

IMPLEMENTATION_UID = UID("2.25.269160187236409173550247331946571190245")
FULL_SCALE = 4095  # 12 bits stored


def write_study(
    phantom: Phantom,
    folder: Path,
    *,
    patient_id: str = "PHANTOM-0001",
    patient_name: str = "PHANTOM^HEAD",
    study_key: str = "",
    accession_number: str | None = None,
    study_date: str = "20260105",
    study_time: str = "091500",
) -> list[Path]:
    """Write one study of one series into `folder` and return its files, neck to crown.

    Explicit VR Little Endian, 12 bits stored in 16, pixel value 4095 for display value 1. Every UID is derived from
    the pixels, the geometry, `patient_id`, the date and `study_key`: the same arguments give the same bytes, and
    another `study_key` gives another study of the same head. `study_date` is YYYYMMDD, `study_time` HHMMSS.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = hashlib.sha256(_stored(phantom.pixels).tobytes()).hexdigest()
    geometry = repr((phantom.pixels.shape, phantom.spacing_mm, phantom.origin_mm))
    key = "\x1f".join((content, geometry, patient_id, study_date, study_time, study_key))
    accession = (
        accession_number if accession_number is not None else "PH" + _digest("accession", key).hex()[:10].upper()
    )
    paths = []
    for index in range(len(phantom.pixels)):
        instance = _instance(phantom, index, key)
        instance.PatientID, instance.PatientName = patient_id, patient_name
        instance.AccessionNumber = accession
        for role in ("Study", "Series", "Acquisition", "Content"):
            setattr(instance, f"{role}Date", study_date)
            setattr(instance, f"{role}Time", study_time)
        paths.append(folder / f"IM{index + 1:04d}.dcm")
        instance.save_as(paths[-1], enforce_file_format=True)
    return paths


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("\x1f".join(("heatproof phantom", *parts)).encode()).digest()


def _uid(*parts: str) -> UID:
    return UID("2.25." + str(int.from_bytes(_digest(*parts)[:16], "big")))


def _number(value: float) -> float:
    return float(f"{value:.7g}")  # a decimal string holds 16 characters


def _stored(
    pixels: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint16]]:
    return np.rint(np.clip(pixels, 0, 1) * FULL_SCALE).astype("<u2")


def _instance(phantom: Phantom, index: int, key: str) -> Dataset:
    instance = Dataset()
    instance.file_meta = FileMetaDataset()
    instance.file_meta.MediaStorageSOPClassUID = MRImageStorage
    instance.file_meta.MediaStorageSOPInstanceUID = _uid("instance", key, str(index))
    instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    instance.file_meta.ImplementationClassUID = IMPLEMENTATION_UID
    instance.file_meta.ImplementationVersionName = "HEATPROOF"
    instance.SpecificCharacterSet = "ISO_IR 192"
    instance.SOPClassUID = MRImageStorage
    instance.SOPInstanceUID = instance.file_meta.MediaStorageSOPInstanceUID
    _describe(instance, index, key)
    _locate(instance, phantom, index, key)
    instance.SamplesPerPixel, instance.PhotometricInterpretation = 1, "MONOCHROME2"
    instance.Rows, instance.Columns = phantom.pixels.shape[1:]
    instance.BitsAllocated, instance.BitsStored, instance.HighBit, instance.PixelRepresentation = 16, 12, 11, 0
    instance.WindowCenter, instance.WindowWidth = 2048, 4096
    instance.PixelData = _stored(phantom.pixels[index]).tobytes()
    instance["PixelData"].VR = "OW"
    return instance


def _describe(instance: Dataset, index: int, key: str) -> None:
    instance.PatientBirthDate, instance.PatientSex = "", "O"
    instance.PatientIdentityRemoved, instance.DeidentificationMethod = "YES", "DIGITAL PHANTOM, NO PATIENT"
    instance.StudyInstanceUID, instance.StudyID = _uid("study", key), "1"
    instance.ReferringPhysicianName = ""
    instance.StudyDescription = "MRI head (digital phantom)"
    instance.SeriesInstanceUID, instance.SeriesNumber, instance.InstanceNumber = _uid("series", key), 1, index + 1
    instance.AcquisitionNumber = 1
    instance.Modality, instance.BodyPartExamined = "MR", "HEAD"
    instance.SeriesDescription, instance.ProtocolName = "FLAIR axial", "PHANTOM FLAIR"
    instance.OperatorsName = ""
    instance.Manufacturer, instance.ManufacturerModelName = "heatproof", "Digital head phantom"
    instance.DeviceSerialNumber, instance.SoftwareVersions = "0001", "1"
    instance.InstitutionName, instance.StationName = "PHANTOM HOSPITAL", "PHANTOM1"
    instance.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    instance.ScanningSequence, instance.SequenceVariant, instance.ScanOptions = ["SE", "IR"], "NONE", ""
    instance.MRAcquisitionType = "2D"
    instance.RepetitionTime, instance.EchoTime, instance.EchoTrainLength = 9000.0, 120.0, 16
    instance.InversionTime, instance.MagneticFieldStrength, instance.FlipAngle = 2500.0, 1.5, 90.0
    instance.ImagedNucleus, instance.NumberOfAverages = "1H", 1.0
    instance.BurnedInAnnotation = "NO"


def _locate(instance: Dataset, phantom: Phantom, index: int, key: str) -> None:
    between, row_mm, column_mm = phantom.spacing_mm
    x, y, z = phantom.origin_mm
    height = z + between * index
    instance.PatientPosition, instance.PositionReferenceIndicator = "HFS", ""
    instance.FrameOfReferenceUID = _uid("frame of reference", key)
    instance.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    instance.ImagePositionPatient = [_number(x), _number(y), _number(height)]
    instance.PixelSpacing = [_number(row_mm), _number(column_mm)]
    instance.SliceThickness, instance.SpacingBetweenSlices = 5.0, _number(between)
    instance.SliceLocation = _number(height)
