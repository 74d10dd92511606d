"""The glossary: few words, each explained once, the same in console and guide."""

from pathlib import Path

from inference.trust.verdict import Verdict
from reports.glossary import TERMS, VERDICTS, guide_page

PAGE = Path(__file__).parents[2] / "deploy" / "guide" / "glossary.md"


def test_the_guide_has_the_page_that_the_module_prints() -> None:
    assert "".join(f"{line}\n" for line in guide_page()) == PAGE.read_text(encoding="utf-8")


def test_there_are_at_most_ten_terms_and_every_verdict() -> None:
    assert len(TERMS) <= 10
    assert len({term.anchor for term in TERMS}) == len(TERMS)
    assert set(VERDICTS) == {verdict.value for verdict in Verdict}
