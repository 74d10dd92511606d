"""Verify an exported ledger away from the node, with the standard library alone.

    heatproof audit export --format jsonl --out ledger.jsonl      # on the node's host
    python verify_ledger.py ledger.jsonl [NUMBER:DIGEST]

Each row's digest is SHA-256 over the JSON list of its number, time, event, study, details and the digest of the row
before it. NUMBER:DIGEST is a head that a report printed: a ledger that was rewritten as a whole does not lead to it.
The status is 0 where every row is as it was written, else 1.
"""

import hashlib
import json
import sys
from collections.abc import Iterable
from pathlib import Path

COVERED = ("seq", "at", "event", "study", "details", "previous")


def first_wrong(rows: Iterable[dict[str, object]], head: str) -> str:
    """Say which row is the first that is not as it was written; empty where all are.

    The first row may have any number: earlier ones were taken out by retention, and its ``previous`` is their digest.
    """
    expected_number: object = None
    previous: object = "0" * 64
    is_head_met = not head
    for row in rows:
        if expected_number is None:
            expected_number = row["seq"]
            previous = previous if row["seq"] == 1 else row["previous"]
        digest = hashlib.sha256(json.dumps([row[name] for name in COVERED]).encode()).hexdigest()
        if (row["seq"], row["previous"], row["digest"]) != (expected_number, previous, digest):
            return f"row {expected_number} is changed, missing or out of place"
        is_head_met = is_head_met or f"{row['seq']}:{digest}" == head
        expected_number, previous = int(str(row["seq"])) + 1, digest
    return "" if is_head_met else f"no row is {head}"


def main(path: str, head: str = "") -> int:
    """Check one file; give the exit status."""
    with Path(path).open(encoding="utf-8") as lines:
        problem = first_wrong((json.loads(line) for line in lines), head)
    print(problem or "every row is as it was written")
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
