"""A stack that lies in memory, written as single-frame DICOM instances (DICOM PS3.3 A.3 to A.32)."""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from inference.reading.image import Image
from reports.objects.phantom_study import IMPLEMENTATION_UID


def write_image(image: Image, folder: Path) -> list[Path]:
    """Write a stack, and the further series that belong to it, whose modality values are whole numbers.

    Explicit VR Little Endian; grey values as they are in 16 bits, signed, with Rescale Slope 1 and Intercept 0 for
    CT; colour as RGB in 8 bits. Returns the files, series by series in the order of their planes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for series, stack in enumerate((image, *image.further), start=1):
        for index in range(len(stack.frames)):
            instance = _instance(stack, index)
            instance.SeriesNumber = series
            instance.SOPInstanceUID = f"{instance.SOPInstanceUID}.{series}"
            instance.file_meta.MediaStorageSOPInstanceUID = instance.SOPInstanceUID
            paths.append(folder / f"S{series}-IM{index + 1:04d}.dcm")
            instance.save_as(paths[-1], enforce_file_format=True)
    return paths


def _instance(image: Image, index: int) -> Dataset:
    frame = image.frames[index]
    instance = Dataset()
    instance.file_meta = FileMetaDataset()
    instance.file_meta.MediaStorageSOPClassUID = UID(frame.sop_class_uid)
    instance.file_meta.MediaStorageSOPInstanceUID = UID(frame.sop_instance_uid)
    instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    instance.file_meta.ImplementationClassUID = IMPLEMENTATION_UID
    instance.SpecificCharacterSet = "ISO_IR 192"
    instance.SOPClassUID, instance.SOPInstanceUID = frame.sop_class_uid, frame.sop_instance_uid
    instance.StudyInstanceUID, instance.SeriesInstanceUID = image.study_instance_uid, image.series_instance_uid
    instance.PatientID, instance.PatientName = image.patient_key, "SYNTHETIC"
    instance.PatientBirthDate, instance.PatientSex, instance.AccessionNumber = "", "", ""
    instance.StudyDate, instance.StudyTime, instance.StudyID = "20260101", "120000", "1"
    instance.Modality, instance.InstanceNumber = image.modality, index + 1
    instance.SeriesDescription, instance.ProtocolName = image.description[:64], image.description[:64]
    instance.ImageType = ["ORIGINAL", "PRIMARY"]
    if image.body_part:
        instance.BodyPartExamined = image.body_part
    if frame.orientation is not None and frame.position_mm is not None:
        instance.FrameOfReferenceUID = image.frame_of_reference_uid
        instance.ImageOrientationPatient = [_number(part) for part in frame.orientation]
        instance.ImagePositionPatient = [_number(part) for part in frame.position_mm]
    if frame.pixel_spacing_mm is not None:
        instance.PixelSpacing = [_number(part) for part in frame.pixel_spacing_mm]
    _add_pixels(instance, image, index)
    return instance


def _add_pixels(instance: Dataset, image: Image, index: int) -> None:
    values = np.rint(image.values[index])
    instance.Rows, instance.Columns = values.shape[:2]
    instance.PixelRepresentation = int(not image.colour and image.modality == "CT")
    if image.colour:
        instance.SamplesPerPixel, instance.PhotometricInterpretation, instance.PlanarConfiguration = 3, "RGB", 0
        instance.BitsAllocated, instance.BitsStored, instance.HighBit = 8, 8, 7
        stored, representation = values.astype(np.uint8), "OB"
    else:
        instance.SamplesPerPixel, instance.PhotometricInterpretation = 1, "MONOCHROME2"
        instance.BitsAllocated, instance.BitsStored, instance.HighBit = 16, 16, 15
        stored, representation = values.astype("<i2" if instance.PixelRepresentation else "<u2"), "OW"
    if image.modality == "CT":
        instance.RescaleSlope, instance.RescaleIntercept, instance.RescaleType = 1, 0, "HU"
    content = stored.tobytes()
    instance.PixelData = content + b"\0" * (len(content) % 2)
    instance["PixelData"].VR = representation


def _number(value: float) -> float:
    return float(f"{value:.7g}")  # a decimal string holds 16 characters
