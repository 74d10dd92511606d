"""The page of reliability has the rows of its table, and every test that a row names is one that there is."""

from tests.benchmarks.reliability import PAGE, TESTS, read_rows, with_table


def test_the_page_has_the_rows_of_the_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows = read_rows()
    assert with_table(page, rows) == page
    assert f"{len(rows)} faults and attacks" in page


def test_every_row_is_held_by_tests_that_there_are() -> None:
    for row in read_rows():
        assert row.held_by, row.fault
        for name in row.held_by:
            file, _, test = name.partition("::")
            assert f"def {test}(" in (TESTS / file).read_text() or not test, name
