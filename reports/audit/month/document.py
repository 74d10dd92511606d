"""The monthly audit report as a DICOM object that an archive takes: Encapsulated PDF (PS3.3 A.45.1).

Of no patient: Patient ID ``HEATPROOF-QA``, one study and one series for each site, an instance for each month and head
of the ledger. What is made of the same months again has the same UIDs and the same bytes.
"""

from collections.abc import Sequence

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, EncapsulatedPDFStorage, ExplicitVRLittleEndian

from reports.audit.month.month import Month
from reports.audit.month.pdf import month_pdf
from reports.objects.equipment import contributing_equipment, sign
from reports.objects.header.subject import date
from reports.objects.uids import uid_of
from reports.product import NOT_FOR_DIAGNOSTIC_USE, PRODUCT, product_version

PATIENT_ID = "HEATPROOF-QA"
SERIES_NUMBER = 9010
_QUALITY_CONTROL = ("110002", "DCM", "Quality Control")


def study_of(site: str) -> UID:
    """Return the Study Instance UID of all monthly reports of a site.

    Args:
        site: what tells it from others: a digest under its key.
    """
    return uid_of(PRODUCT, "quality reports", site)


def month_document(months: Sequence[Month], *, site: str) -> Dataset:
    """Return the object, with file meta information, in Explicit VR Little Endian.

    Args:
        months: the same month of each route, at least one; when the last was gathered is when the report was made.
        site: as ``study_of`` takes it.

    Raises:
        Misconfigured: as ``month_pdf``.
    """
    last = months[-1]
    month = f"{last.first:%Y-%m}"
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID = EncapsulatedPDFStorage
    made.SOPInstanceUID = uid_of(PRODUCT, "quality report", site, month, str(last.head))
    _place(made, site, int(f"{last.first:%Y%m}"))
    _name(made, f"Audit report {month}")
    date(made, made, last.made, "Content")
    made.AcquisitionDateTime = None
    _enclose(made, month_pdf(months))
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    sign(made)
    return made


def _place(made: Dataset, site: str, instance_number: int) -> None:
    """Patient, study, series and equipment (PS3.3 C.7.1.1, C.7.2.1, C.24.1, C.7.5.1, C.8.6.1)."""
    made.PatientName, made.PatientID, made.PatientBirthDate, made.PatientSex = "QA^HEATPROOF", PATIENT_ID, None, None
    made.StudyInstanceUID, made.StudyID = study_of(site), PATIENT_ID
    made.StudyDate = made.StudyTime = made.AccessionNumber = made.ReferringPhysicianName = None
    made.StudyDescription = "Quality of the maps"
    made.SeriesInstanceUID, made.SeriesNumber = uid_of(PRODUCT, "quality reports", site, "series"), SERIES_NUMBER
    made.SeriesDescription = f"Monthly audit report - {NOT_FOR_DIAGNOSTIC_USE}"
    made.Modality, made.ConversionType, made.InstanceNumber = "DOC", "WSD", instance_number
    made.Manufacturer = made.ManufacturerModelName = PRODUCT
    made.SoftwareVersions = product_version()
    made.ContributingEquipmentSequence = contributing_equipment(None)


def _name(made: Dataset, title: str) -> None:
    concept = Dataset()
    concept.CodeValue, concept.CodingSchemeDesignator, concept.CodeMeaning = _QUALITY_CONTROL
    made.ConceptNameCodeSequence = [concept]
    made.DocumentTitle, made.BurnedInAnnotation = title, "NO"


def _enclose(made: Dataset, pdf: bytes) -> None:
    """Encapsulated Document (PS3.3 C.24.2); the length is that without padding."""
    made.MIMETypeOfEncapsulatedDocument = "application/pdf"
    made.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    made.EncapsulatedDocumentLength = len(pdf)
