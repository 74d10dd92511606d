"""What is kept: the newest, and no more than was asked for."""

from node.audit.kept import Kept


def test_what_was_found_is_not_worked_out_again_until_others_pushed_it_out() -> None:
    kept, worked = Kept(most=2), []

    def find(key: str) -> str:
        return kept.get(key, lambda: worked.append(key) or key.upper())

    assert [find(key) for key in ("a", "b", "a", "c", "a", "b")] == ["A", "B", "A", "C", "A", "B"]
    assert worked == ["a", "b", "c", "b"], "b was asked for longest ago when c came"
