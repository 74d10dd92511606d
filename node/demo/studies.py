"""The eight studies of the demo: reference objects of known truth, and what must not be mistaken for one."""

from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread, dcmwrite
from pydicom.data import get_testdata_file

from inference.errors import UnsupportedImage
from inference.phantom.phantom import Lesion, Phantom, degrade, make_phantom
from reports.objects.phantom_study import write_study


@dataclass(frozen=True)
class DemoStudy:
    """One thing that is sent, and what is true of it."""

    name: str
    files: tuple[Path, ...]
    phantom: Phantom | None
    """The reference object with its masks; None where nothing is known of the patient."""
    truth: str
    """What is true of it, in words."""
    repeated: bool = False
    """Sent a second time, after the first has been answered."""

    @property
    def study_instance_uid(self) -> str:
        """Of the first file."""
        return str(dcmread(self.files[0], specific_tags=["StudyInstanceUID"]).StudyInstanceUID)


def eight_studies(folder: Path) -> tuple[DemoStudy, ...]:
    """Write the demo's studies below ``folder``."""
    clear = make_phantom(1)
    studies = [
        _phantom("one lesion", clear, folder),
        _phantom("noise", degrade(make_phantom(5), noise=0.055, seed=5), folder),
        _phantom("a small faint lesion", make_phantom(3, lesions=(FAINT,)), folder),
        _phantom("no lesion", make_phantom(4, lesions=0), folder),
        _phantom("noise and motion", degrade(make_phantom(13), noise=0.06, motion=0.5, seed=13), folder),
    ]
    again = DemoStudy("the first one again", studies[0].files, clear, "nothing new to say", repeated=True)
    cut = _cut(_phantom("cut pixel data", make_phantom(6), folder))
    return (*studies, again, cut, _chest())


def own_studies(folder: Path) -> tuple[DemoStudy, ...]:
    """Take the user's own DICOM files below ``folder``, whatever they are, study by study.

    Raises:
        UnsupportedImage: there is none.
    """
    by_study: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and is_dicom(path):
            uid = str(dcmread(path, specific_tags=["StudyInstanceUID"]).get("StudyInstanceUID", ""))
            by_study.setdefault(uid, []).append(path)
    if not by_study:
        raise UnsupportedImage(f"There is no DICOM file below {folder}.", cure="Name a folder with DICOM files.")
    return tuple(
        DemoStudy(f"your study {number}", tuple(paths), None, "not known here")
        for number, paths in enumerate(by_study.values(), start=1)
    )


def is_dicom(path: Path) -> bool:
    """Tell whether the file has the DICOM prefix (PS3.10 7.1)."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


FAINT = Lesion(centre_mm=(-32.0, 8.0, 24.0), radii_mm=(8.0, 7.0, 9.0), contrast=0.12)


def _phantom(name: str, phantom: Phantom, folder: Path) -> DemoStudy:
    number = f"PHANTOM-{phantom.seed:04d}"
    files = write_study(phantom, folder / number, patient_id=number, patient_name="PHANTOM^HEAD")
    count = len(phantom.lesions)
    truth = "no lesion" if not count else "1 lesion" if count == 1 else f"{count} lesions"
    return DemoStudy(name, tuple(files), phantom, truth)


def _cut(study: DemoStudy) -> DemoStudy:
    """Halve the pixel data of every instance, as a broken line or a full disk does."""
    for path in study.files:
        dataset = dcmread(path)
        dataset.PixelData = dataset.PixelData[: len(dataset.PixelData) // 4 * 2]
        dcmwrite(path, dataset)
    return DemoStudy(study.name, study.files, None, "half of every image is missing")


def _chest() -> DemoStudy:
    path = get_testdata_file("RG1_UNCR.dcm", download=False)
    files = (Path(str(path)),) if path else ()
    return DemoStudy("a chest radiograph", files, None, "no model here is meant for it")
