"""Progress on a pipe: lines, not too many of them, and the last of every stage."""

from node.progress_bars import ProgressLines


class Watch:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_stage_is_said_when_it_begins_now_and_then_and_at_its_end() -> None:
    lines, watch = list[str](), Watch()
    progress = ProgressLines(lines.append, 30.0, watch)
    for done in range(101):
        watch.now = done * 10.0
        progress.report("maps", "maps of primary", done, 100)
    assert lines[0] == "maps of primary: 0 of 100"
    assert lines[1] == "maps of primary: 3 of 100, 16 min left"
    assert lines[-2] == "maps of primary: 99 of 100, 10 s left"
    assert lines[-1] == "maps of primary: 100 of 100"
    assert len(lines) == 35


def test_a_new_stage_is_said_at_once_and_work_that_was_resumed_does_not_count_as_fast() -> None:
    lines, watch = list[str](), Watch()
    progress = ProgressLines(lines.append, 30.0, watch)
    progress.report("reading", "reading cases", 5, 0)
    progress.report("maps", "maps", 90, 100)
    watch.now = 40.0
    progress.report("maps", "maps", 92, 100)
    assert lines == ["reading cases: 5", "maps: 90 of 100", "maps: 92 of 100, 3 min left"]
