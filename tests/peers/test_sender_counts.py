"""A real Orthanc is asked how many images a study has."""

from pathlib import Path

import pytest
from pydicom.filewriter import dcmwrite

from node.demo.ports import reserve_port
from node.settings.destination import Destination
from node.studies.counting import CountingPeer, count
from tests.node.receiving.intake import mr_image
from tests.peers.orthanc import OrthancServer

STUDY = "1.2.826.0.1.3680043.8.498.77"


@pytest.mark.peers
def test_orthanc_counts_the_images_of_each_series_by_c_find_and_by_qido(orthanc: OrthancServer, tmp_path: Path) -> None:
    for number, series in enumerate((f"{STUDY}.1", f"{STUDY}.1", f"{STUDY}.2")):
        path = tmp_path / f"{number}.dcm"
        dcmwrite(path, mr_image(STUDY, series=series), enforce_file_format=True)
        orthanc.upload(path)
    orthanc.set_modality("heatproof", "HEATPROOF", "127.0.0.1", reserve_port())
    orthanc_here = Destination(
        name="pacs", ae_title=orthanc.aet, host="127.0.0.1", port=orthanc.dicom_port, url=f"{orthanc.url}/dicom-web"
    )
    expected = {f"{STUDY}.1": 2, f"{STUDY}.2": 1}
    for by in ("find", "qido"):
        assert count(CountingPeer(orthanc_here, by), STUDY, calling_ae_title="HEATPROOF") == expected
        assert count(CountingPeer(orthanc_here, by), "1.2.3.4", calling_ae_title="HEATPROOF") == {}
