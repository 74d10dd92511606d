"""What ``--plan`` promises for so many patients, against what so many of a real site then certify.

``python -m tests.benchmarks.planned --work DIR [--patients 17,34,60,120,300] [--sites 5] [--write]``

DIR is the work folder of a commissioning that has ended (``deploy/shipped_passports.py --work``): the evidence of each
map, shown or bogus, lies there. A site is so many of its patients or groups, drawn without replacement by seed, half of
them in the part fitted on. Nulls, envelope, calibrators, floor and certificate are fitted anew on each. Networks and
localiser are those of the whole, trained on other patients: what fewer patients to train on would cost is not in it.
``--write`` puts the table into ``planned.txt``.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inference.commissioning.fitting import PLANES, ROWS
from inference.commissioning.planning import plan
from inference.commissioning.verdict.fit import fit_verdict
from inference.commissioning.verdict.part_data import part_of
from inference.commissioning.verdict.rows import PART_NAMES
from inference.commissioning.verdict.stacks import stacks_of
from inference.errors import Refused
from inference.passport.entries import GroupsAre
from inference.passport.verdict import FittedVerdict, NetworkPasses
from inference.trust.budgets import PARTS

PATIENTS = (17, 34, 60, 120, 300)
ALPHA = 0.10
PASSES: Mapping[str, NetworkPasses] = {budget: NetworkPasses(0, 0) for budget in PARTS}
HEADER = (
    "patients  promised: at best, as expected  smallest alpha certified, site by site             "
    f"certified at {ALPHA:.2f}: sites, patients with a TRUSTED map, TRUSTED maps that miss"
)


class Site:
    """The evidence of a whole site, of which smaller ones are drawn."""

    def __init__(self, work: Path, unit: GroupsAre, classes: Sequence[str]) -> None:
        """Read what a commissioning kept.

        Raises:
            FileNotFoundError: nothing of the kind lies there.
        """
        self.unit, self.classes = unit, classes
        self.cases = [case for raw in _kept(work, ROWS) for case in raw["cases"]]
        self.planes = _kept(work, PLANES)
        if not self.cases or not self.planes:
            raise FileNotFoundError(f"{work} holds no evidence of a commissioning.")
        self.groups = sorted({case["group"] for case in self.cases})

    def drawn(self, patients: int, seed: int) -> FittedVerdict | str:
        """Fit the verdict on so many patients, or say why there is none."""
        order = np.random.default_rng([seed, patients]).permutation(self.groups)[:patients]
        halves = {str(group): PART_NAMES[at % 2] for at, group in enumerate(order)}
        cases = {part: [case for case in self.cases if halves.get(case["group"]) == part] for part in PART_NAMES}
        parts = [part_of([{"cases": cases[part]}], called=len(cases[part])) for part in PART_NAMES]
        stacks = [stacks_of([_planes_of(raw, halves, part) for raw in self.planes]) for part in PART_NAMES]
        try:
            return fit_verdict(
                parts[0], parts[1], (stacks[0], stacks[1]),
                classes=self.classes, witness=True, unit=self.unit, passes=PASSES,
            )  # fmt: skip
        except Refused as error:
            return str(error)


def _kept(work: Path, what: str) -> list[dict[str, Any]]:
    paths = [path for part in PART_NAMES for path in sorted(work.rglob(f"{what}.{part}.*.json"))]
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def _planes_of(raw: Mapping[str, Any], halves: Mapping[str, str], part: str) -> dict[str, Any]:
    rows = [row for row, group in enumerate(raw["group"]) if halves.get(group) == part]
    views = {name: [table[row] for row in rows] for name, table in raw["views"].items()}
    return {
        "views": views,
        "stack": [raw["stack"][row] for row in rows],
        "group": [raw["group"][row] for row in rows],
        "dimensions": raw["dimensions"],
    }


def line(site: Site, patients: int, sites: int) -> str:
    """Return one line of the table."""
    promised = plan(patients=patients).reach
    assert promised is not None
    verdicts = [site.drawn(patients, seed) for seed in range(sites)]
    fitted = [verdict for verdict in verdicts if isinstance(verdict, FittedVerdict)]
    smallest = [_alpha(verdict) for verdict in verdicts]
    shares = [share for verdict in fitted for share in verdict.trusted if share.certificate.alpha == ALPHA]
    certified = [share for share in shares if share.certificate.threshold is not None]
    covered = [share.patients.value for share in certified if share.patients]
    misses = [share.miss.value for share in certified if share.miss]
    return (
        f"{patients:>8}  {_figure(promised.alpha_at_best)}, {_figure(promised.alpha):<20}  {', '.join(smallest):<45}  "
        f"{len(certified)} of {sites}, {_span(covered)}, {_span(misses)}"
    )


def _alpha(verdict: FittedVerdict | str) -> str:
    if isinstance(verdict, str):
        return "no verdict"
    smallest = verdict.smallest_alpha.patient
    return "none" if smallest is None else f"{smallest.alpha:.3f}"


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _span(values: Sequence[float]) -> str:
    return f"{min(values):.3f} to {max(values):.3f}" if values else "none"


def main() -> None:
    """Draw the sites, and print what each certifies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="work folder of a commissioning that has ended")
    parser.add_argument("--classes", default="glioma,meningioma,pituitary tumour", help="of its bundle, in order")
    parser.add_argument("--unit", choices=["patients", "groups"], default="groups")
    parser.add_argument("--patients", default=",".join(map(str, PATIENTS)))
    parser.add_argument("--sites", type=int, default=5, help="drawn for each number of patients")
    parser.add_argument("--write", action="store_true", help="write planned.txt too")
    asked = parser.parse_args()
    site = Site(asked.work, asked.unit, asked.classes.split(","))
    lines = [
        f"Sites drawn from {len(site.groups)} {asked.unit}; alphas by value, spans over sites: no intervals.",
        HEADER,
    ]
    for patients in map(int, asked.patients.split(",")):
        lines.append(line(site, patients, asked.sites))
        print(*lines[-1:] if len(lines) > 3 else lines, sep="\n", flush=True)
    if asked.write:
        Path(__file__).with_suffix(".txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
