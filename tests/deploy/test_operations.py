"""The commands of the page of operations, run in order as they stand there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from pydicom import dcmread
from sqlalchemy import select

from inference.parsing import parse_toml
from node.demo.pacs import FilingScp, send
from node.demo.ports import reserve_port
from node.settings.retention import RetentionSettings
from node.store import deliveries, jobs, open_engine, sqlite_url, studies
from tests.deploy.guide_walk import GUIDE, Walk, blocks
from tests.hostile import stand_in
from tests.patience import patient, wait_until

PAGE = "operations.md"


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[FilingScp]:
    with FilingScp(tmp_path / "pacs") as made:
        yield made


def send_study(walk: Walk, folder: Path, number: int, port: int) -> str:
    """Send a study, and wait until its results are delivered; give its UID."""
    paths = stand_in.write_study_of_blobs(folder / str(number), number)
    for path in paths:
        image = dcmread(path)
        image.BodyPartExamined, image.SeriesDescription = "BRAIN", "FLAIR"
        image.save_as(path)
    assert set(send(paths, port=port, called_ae_title="HEATPROOF", progress=lambda: None).values()) == {0x0000}
    engine = open_engine(sqlite_url(walk.folder / "home"))

    def is_delivered() -> bool:
        with engine.connect() as connection:
            states = connection.execute(select(studies.c.state)).scalars().all()
            ended = connection.execute(select(jobs.c.finished_at)).scalars().all()
            sent = connection.execute(select(deliveries.c.state)).scalars().all()
        return states == ["routed"] * number and all(ended) and len(sent) >= 2 * number and set(sent) == {"sent"}

    wait_until(is_delivered, 60, "the delivery of its results")
    engine.dispose()
    return str(dcmread(paths[0]).StudyInstanceUID)


@pytest.mark.slow
def test_every_command_of_the_page_does_what_it_says_one_after_the_other(tmp_path: Path, pacs: FilingScp) -> None:
    dicom_port, http_port = reserve_port(), reserve_port()
    folder = tmp_path / "site"
    folder.mkdir()
    instead = {"11112": str(dicom_port), "8080": str(http_port), "ID ": "STANDIN00002 "}
    walk = Walk(folder, instead)
    start, *others = blocks(PAGE)
    settings = folder / "heatproof.toml"

    def point_at_the_pacs() -> None:
        text = settings.read_text()
        for old, new in {
            "8080": str(http_port),
            "4242": str(pacs.port),
            "= 10.0": f"= {patient(1.0)}",
            '"commitment"': '"none"',
        }.items():
            assert old in text, old
            text = text.replace(old, new)
        settings.write_text(text)

    try:
        walk.run(start, before={"heatproof config check": point_at_the_pacs})
        first, _ = (send_study(walk, tmp_path, number, dicom_port) for number in (1, 2))
        for block in others:
            walk.run(block.replace("STUDY ", f"{first} "))
        restored = open_engine(sqlite_url(folder / "home"))
        with restored.connect() as connection:
            assert connection.execute(select(deliveries)).all() == []
        restored.dispose()
    finally:
        walk.stop()


def test_the_settings_of_the_page_are_valid() -> None:
    (block,) = (text.partition("```")[0] for text in (GUIDE / PAGE).read_text().split("```toml\n")[1:])
    wanted: Any = TypeAdapter(RetentionSettings).validate_python(parse_toml(block.encode())["retention"])
    assert wanted.free_mebibytes == 20 << 10
