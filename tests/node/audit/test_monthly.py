"""The monthly audit report as a DICOM object: made once, queued like a result, the same bytes, no patient."""

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import EncapsulatedPDFStorage
from sqlalchemy import select

from inference.errors import Refused, SettingsInvalid, UnknownName
from node.audit.arming import Arming
from node.audit.audit import Audit
from node.audit.constancy import Constancy
from node.audit.monthly import Monthly
from node.delivery.consignments import Consignments
from node.settings.audit import AuditSettings
from node.settings.http import HttpSettings
from node.settings.node import NodeSettings
from node.settings.settings import Settings, load
from node.store import DeliveryState, deliveries, migrate, open_engine, results, sqlite_url
from reports.audit import ledger as clock
from reports.audit.content import Paragraph, Table
from reports.audit.ledger import Event, Ledger
from reports.audit.month.content import month_content
from reports.audit.month.document import month_document
from reports.audit.month.pdf import month_pdf
from reports.audit.observations import Observations
from reports.audit.repeatability.pair import Again
from reports.audit.repeatability.statistics import LEAST_SUBJECTS
from tests.reports.audit.repeatability.twice import draw_pairs, keep_pairs
from tests.reports.audit.years import BASELINE_DAYS, Hospital, at_day, draw_year, fill

FIRST_OF_AUGUST = datetime(2025, 8, 1, 6, tzinfo=UTC)
SEPTEMBER = datetime(2025, 9, 1, 0, 0, 1, tzinfo=UTC)


class August(datetime):
    """The clock of the ledger."""

    @classmethod
    def now(cls, tz: object = None) -> "August":
        return cls(2025, 8, 17, 9, 30, tzinfo=tz)  # type: ignore[arg-type]


def audit_of(home: Path, *, report_to: str | None = "archive") -> Audit:
    """A site with two routes, one of them charted, in August 2025."""
    engine = open_engine(sqlite_url(home))
    migrate(engine)
    ledger = Ledger(engine, b"key")
    settings = Settings(
        node=NodeSettings(home=home),
        http=HttpSettings(token_file=home / "token"),
        rules=(
            {"name": "flair", "bundles": ["glioma_flair"], "destinations": []},
            {"name": "t1", "bundles": ["x"], "destinations": []},
        ),  # type: ignore[arg-type]
        destinations=({"name": "archive", "ae_title": "A", "host": "127.0.0.1", "port": 104, "objects": ["capture"]},),  # type: ignore[arg-type]
        audit=AuditSettings(report_to=report_to),
    )
    arming, constancy = Arming(engine, ledger), Constancy(home, engine, ledger, b"key", None)
    observations = Observations(engine)
    return Audit(settings, lambda: settings.rules, engine, ledger, arming, constancy, observations, {}, {})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    audit = audit_of(tmp_path_factory.mktemp("site"))
    day, rows = draw_year(4, Hospital(patients=100), days=BASELINE_DAYS + 90)
    fill(audit.engine, day, rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "datetime", August)
        audit.ledger.append(Event.ALARM, details={"route": "flair", "problem": "hot area: 0.08, now 0.15 (CUSUM)"})
        audit.arming.lock("flair", at_day(0), at_day(BASELINE_DAYS), by_whom="Ada")
    return audit


def files(audit: Audit) -> list[Path]:
    with audit.engine.connect() as connection:
        paths = connection.execute(select(results.c.path).where(results.c.role == "quality_report")).scalars()
        return [audit.settings.node.files / "outbox" / path for path in paths]


def test_a_months_report_is_queued_once_by_itself_when_the_month_has_ended(site: Audit) -> None:
    monthly = Monthly(site)
    uid = monthly.send_due(SEPTEMBER)
    assert uid is not None
    assert monthly.send_due(SEPTEMBER) is None
    assert Monthly(site).send_due(datetime(2025, 9, 30, 23, tzinfo=UTC)) is None, "nor after a restart"
    with site.engine.connect() as connection:
        row = connection.execute(select(deliveries).where(deliveries.c.sop_instance_uid == uid)).one()
    assert (row.destination, row.state) == ("archive", DeliveryState.QUEUED)
    consignments = Consignments(site.engine, site.settings.node.files / "outbox")
    assert [destination for _, destination in consignments.unsettled([])] == ["archive"], "the node will deliver it"
    assert [one.details for one in site.ledger.events() if one.event == Event.REPORTED] == [
        {"month": "2025-08", "destination": "archive", "objects": 1}
    ]


def test_a_month_before_the_ledger_began_is_not_reported_on(site: Audit) -> None:
    assert Monthly(site).send_due(datetime(2025, 8, 1, 1, tzinfo=UTC)) is None


def test_nothing_is_sent_by_itself_where_nobody_asks_for_it(tmp_path: Path) -> None:
    assert Monthly(audit_of(tmp_path, report_to=None)).send_due(SEPTEMBER) is None


def test_the_report_is_a_valid_encapsulated_pdf_of_no_patient(site: Audit, tmp_path: Path) -> None:
    Monthly(site).send_due(SEPTEMBER)
    path = files(site)[0]
    made = dcmread(path)
    assert (made.SOPClassUID, made.PatientID, made.BurnedInAnnotation) == (EncapsulatedPDFStorage, "HEATPROOF-QA", "NO")
    assert (made.DocumentTitle, made.InstanceNumber) == ("Audit report 2025-08", 202508)
    pdf = made.EncapsulatedDocument[: made.EncapsulatedDocumentLength]
    assert pdf.startswith(b"%PDF-1.")
    assert pdf.rstrip().endswith(b"%%EOF")
    said = subprocess.run(
        [Path(sys.executable).with_name("dciodvfy"), path], capture_output=True, text=True, check=False
    )
    lines = (said.stdout + said.stderr).splitlines()
    assert "EncapsulatedPDF" in lines
    assert [line for line in lines if line.startswith("Error")] == []


def test_one_study_a_site_and_an_instance_for_each_month_and_head_always_the_same_bytes(site: Audit) -> None:
    july, august = (site.month("flair", month) for month in ("2025-07", "2025-08"))
    one, again, other, elsewhere = (
        month_document([month], site=place)
        for month, place in ((august, "a"), (august, "a"), (july, "a"), (august, "b"))
    )
    assert one == again
    assert one.StudyInstanceUID == other.StudyInstanceUID != elsewhere.StudyInstanceUID
    assert one.SeriesInstanceUID == other.SeriesInstanceUID
    assert len({one.SOPInstanceUID, other.SOPInstanceUID, elsewhere.SOPInstanceUID}) == 3


def test_a_report_is_sent_when_somebody_asks_to_a_destination_that_is_there(site: Audit) -> None:
    monthly = Monthly(site)
    first, second = (monthly.send("2025-08", "archive") for _ in range(2))
    assert first != second, "the head of the ledger has moved on"
    with pytest.raises(UnknownName, match="no destination 'attic'"):
        monthly.send("2025-08", "attic")
    with pytest.raises(Refused, match="is no month"):
        monthly.send("last August", "archive")


def test_a_destination_of_reports_that_is_not_there_is_a_problem_of_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "heatproof.toml"
    path.write_text('[node]\nhome = "."\n[http]\ntoken_file = "token"\n[audit]\nreport_to = "pacs"\n')
    with pytest.raises(SettingsInvalid, match=r"audit\.report_to: there is no destination 'pacs'"):
        load(path)


def test_the_printed_month_says_how_repeatable_the_maps_are_or_how_many_more_cases_it_takes(tmp_path: Path) -> None:
    audit = audit_of(tmp_path)
    keep_pairs(
        audit.engine,
        draw_pairs(Again.EXAMINATION, LEAST_SUBJECTS, FIRST_OF_AUGUST),
        draw_pairs(Again.REPLICATE, LEAST_SUBJECTS - 4, FIRST_OF_AUGUST, other="r" * 64),
    )
    month = audit.month("flair", "2025-08")
    examined, replicated = (
        block for block in month_content(month) if isinstance(block, Table) and "bias" in block.heads
    )
    rows = {row[0]: row[1:] for row in examined.rows}
    assert rows["trust"][0] == str(LEAST_SUBJECTS)
    _, low, high = map(float, re.findall(r"[0-9.]+", rows["trust"][1]))
    assert low < 0.03 < high, "the SD that was drawn"
    assert "4 more are needed" in replicated.rows[1][1]
    assert len(replicated.rows[1]) == 2
    needed = Paragraph("Nothing was measured so yet: 35 golden studies are needed.")
    assert list(month_content(month)).count(needed) == 2
    assert month_pdf([month]).startswith(b"%PDF-1.")
