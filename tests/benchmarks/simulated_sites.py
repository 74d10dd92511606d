"""Does the certificate hold? Over many simulated sites, how often the true risk of TRUSTED maps exceeds alpha.

``python -m tests.benchmarks.simulated_sites [--part scores|fitted] [--law NAME] [--n PATIENTS] [--sites N]
[--keep FILE] [--print]``

``scores``: sites of six laws whose scores are given (``site_laws.py``): choice of planes and certificate. ``fitted``:
signals are given; calibrators, their out-of-fold scores, choice of planes and certificate are refitted at every site,
and judged on patients of the same law that no site had (``fitted_sites.py``). A certificate promises that the true risk
exceeds alpha at no more than delta of all sites, certified or not. How often it does where something was certified is
printed beside that ("of certified"): it is promised nowhere. "Covered" is the mean share of patients with a TRUSTED
map. Every site is kept in a file, from which a run goes on; whoever changes a law removes the file. A run is committed
in ``simulated_sites.txt``.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest

from inference.statistics.risk_control import Unit
from inference.trust.certified import TRUSTABLE, certified
from tests.benchmarks import fitted_sites
from tests.benchmarks.site_laws import LAWS, ROUNDING, Law, certified_steps, make_law, only, site_seed

ALPHAS, DELTA = (0.10, 0.20), 0.10
PATIENTS = (17, 34, 60, 120, 300)
SITES = {"scores": 2000, "fitted": 300}
PIECE = 20
ROUNDS = (0.02, 0.1, 0.25, 0.5, 1.0)
"""Shares of the sites up to which every cell is brought before any is brought further."""
COMPARED = 20
HEAD = (
    f"{'law':42} {'alpha':5} {'n':>4} {'sites':>5} {'certified':>9} {'exceeded, 95 %':>23} {'of certified':>12} "
    f"{'covered':>7}  at most delta within its error"
)


@dataclass(frozen=True)
class Cell:
    """Sites of one law, alpha and number of patients; ``fitted`` sites answer for every alpha at once."""

    part: str
    law: str
    patients: int
    alpha: float = 0.0
    unit: Unit = Unit.PATIENT

    @property
    def key(self) -> str:
        return f"{self.part}|{self.law}|{self.patients}|{self.alpha:.2f}|{self.unit.name}"

    def sites(self, first: int, last: int) -> list[Any]:
        """Return what became of some sites, by their numbers."""
        numbers = range(first, last)
        if self.part == "fitted":
            return [fitted_sites.judged_site(self.law, self.patients, number, ALPHAS, DELTA) for number in numbers]
        law, classes = _law(self.law, self.alpha), len(LAWS[self.law].critical)
        seeds = [site_seed(self.law, self.alpha, self.patients, number) for number in numbers]
        sites = [law.site(self.patients, seed) for seed in seeds]
        return [list(certified_steps(maps, self.alpha, DELTA, classes, self.unit)) for maps in sites]


@cache
def _law(name: str, alpha: float) -> Law:
    return make_law(LAWS[name], alpha)


def cells(part: str) -> Iterator[Cell]:
    """Return every cell of one part; slices as independent are a control, which is to exceed alpha more often."""
    if part == "fitted":
        yield from (Cell(part, law, patients) for law in fitted_sites.LAWS for patients in fitted_sites.PATIENTS)
        return
    for law in LAWS:
        for alpha in ALPHAS:
            yield from (Cell(part, law, patients, alpha) for patients in PATIENTS)
    for law in ("correlated", "fractional"):
        yield from (Cell(part, law, patients, ALPHAS[0], Unit.CASE) for patients in (60, 120))


def simulate(wanted: list[Cell], sites: int, keep: Path) -> dict[str, list[Any]]:
    """Bring every cell to so many sites, the file written after every piece."""
    kept = read(keep)
    began = time.monotonic()
    for share in ROUNDS:
        for cell in wanted:
            done = kept.setdefault(cell.key, [])
            while len(done) < round(share * sites):
                done += cell.sites(len(done), min(len(done) + PIECE, sites))
                fresh = keep.with_suffix(".part")
                fresh.write_text(json.dumps(kept))
                fresh.replace(keep)
            print(f"{time.monotonic() - began:7.0f} s  {len(done):5} sites of {cell.key}", flush=True)
    return kept


def read(keep: Path) -> dict[str, list[Any]]:
    """Return what became of the sites of every cell, by its key."""
    kept: dict[str, list[Any]] = json.loads(keep.read_text()) if keep.exists() else {}
    return kept


def print_scores(cell: Cell, steps: list[list[int | None]]) -> None:
    """Print how often alpha is exceeded with scores given: of all maps, and where there are several of each class."""
    law, classes = _law(cell.law, cell.alpha), len(LAWS[cell.law].critical)
    name = cell.law + (", slices as independent (control)" if cell.unit is Unit.CASE else "")
    print_line(name, cell.alpha, cell.patients, [law.truth(tuple(site)) for site in steps])
    for index in range(classes if classes > 1 else 0):
        own = [law.truth(only(index, site[index], classes)) for site in steps]
        print_line(f"    class {index + 1}", cell.alpha, cell.patients, own)


def print_fitted(cell: Cell, sites: list[list[tuple[float | None, float, float]]]) -> None:
    """Print how often alpha is exceeded with everything refitted."""
    for place, alpha in enumerate(ALPHAS):
        risks = [site[place][1:] for site in sites]
        print_line(cell.law, alpha, cell.patients, [(float("nan") if r is None else r, c) for r, c in risks])


def print_line(name: str, alpha: float, patients: int, truths: list[tuple[float, float]]) -> None:
    """Print one line of the table from each site's true risk and share of patients with a TRUSTED map."""
    risk, covered = np.array(truths).T
    certificates, exceeded = int((covered > 0).sum()), int((risk > alpha + ROUNDING).sum())
    reach = binomtest(exceeded, len(risk)).proportion_ci()
    of_certified = f"{exceeded / certificates:.3f}" if certificates else "-"
    print(
        f"{name:42} {alpha:5.2f} {patients:4} {len(risk):5} {certificates / len(risk):9.3f} "
        f"{exceeded / len(risk):8.3f} [{reach.low:.3f}, {reach.high:.3f}] "
        f"{of_certified:>12} {covered.mean():7.3f}  "
        f"{'yes' if reach.low <= DELTA else 'NO'}"
    )


def print_comparison() -> None:
    """Show that ``certified``, which commissioning and node ask, gives the thresholds that are counted here.

    Where fewer than half of drawn orders of the patients give one, it gives a higher one or none.
    """
    for name in ("correlated", "two classes"):
        law, classes = _law(name, ALPHAS[1]), len(LAWS[name].critical)
        same = higher = 0
        for number in range(COMPARED):
            maps = law.site(120, site_seed(name, ALPHAS[1], 120, number))
            steps = certified_steps(maps, ALPHAS[1], DELTA, classes)
            words = [f"class {index}" for index in range(classes)]
            made = certified(maps, words, alpha=ALPHAS[1], delta=DELTA, by_class=classes > 1).thresholds(words)
            counted = np.array([np.inf if step is None else TRUSTABLE[step] for step in steps])
            same += bool((made == counted).all())
            higher += bool((made >= counted).all() and (made > counted).any())
        print(
            f"certified() gives the same thresholds at {same}, a higher one or none at {higher} of {COMPARED} sites "
            f"of law {name!r}, 120 patients"
        )


PRINTED: Mapping[str, Callable[[Cell, list[Any]], None]] = {"scores": print_scores, "fitted": print_fitted}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=[*SITES], help="both by default")
    parser.add_argument("--law", help="only this one")
    parser.add_argument("--n", type=int, help="only so many patients")
    parser.add_argument("--sites", type=int, help="a cell; 2,000 and 300 by default")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "simulated_sites.json")
    parser.add_argument("--print", action="store_true", help="print what is kept, simulate nothing")
    options = parser.parse_args()
    for part in [options.part] if options.part else SITES:
        wanted = [c for c in cells(part) if options.law in (None, c.law) and options.n in (None, c.patients)]
        keep = options.keep.with_stem(f"{options.keep.stem}_{part}")
        kept = read(keep) if options.print else simulate(wanted, options.sites or SITES[part], keep)
        print(f"\n{part}, delta {DELTA:.2f}\n{HEAD}")
        for cell in wanted:
            if kept.get(cell.key):
                PRINTED[part](cell, kept[cell.key])
    if options.part != "fitted":
        print_comparison()


if __name__ == "__main__":
    main()
