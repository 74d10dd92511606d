"""The constancy test: the golden studies, when they are replayed, and their accepted baselines."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Engine, insert, select

from inference.analyse import analyse
from inference.devices import choose_device, turn
from inference.errors import Misconfigured
from inference.phantom.phantom import make_phantom
from inference.selection import select_stacks
from node.audit.tables import replays
from node.jobs.installation import Installation
from node.store import now
from reports.audit.ledger import Event, Ledger
from reports.audit.repeatability.pair import Again, Pair, golden_pairs
from reports.audit.repeatability.pairs import keep
from reports.audit.repeatability.replay import GoldenBaseline, Recorded, Replay, compare, load, record, save
from reports.objects.phantom_study import write_study

PHANTOM_SEEDS = (101, 102, 103)
_RUNS = {"cpu": 2, "cuda": 5}
"""Of the golden set at acceptance, by kind of device."""


class Constancy:
    """The golden sets of a node's bundles, below ``golden`` of its home: studies, and what was accepted of them."""

    def __init__(self, home: Path, engine: Engine, ledger: Ledger, key: bytes, site_folder: Path | None) -> None:
        self._home = home / "golden"
        self._engine = engine
        self._ledger = ledger
        self._key = key
        self._site_folder = site_folder

    def accepted(self, bundle: str) -> bool:
        """Say whether this bundle has a signed baseline."""
        return (self._home / bundle / "signature").exists()

    def studies(self, bundle: str) -> Mapping[str, tuple[Path, ...]]:
        """Return the golden studies by name: phantoms, made here where they are missing, and the site's own."""
        folder = self._home / "phantoms"
        for number in PHANTOM_SEEDS:
            if not (folder / f"phantom_{number}").is_dir():
                write_study(make_phantom(number), folder / f"phantom_{number}", study_key="golden")
        own = self._site_folder / bundle if self._site_folder else None
        places = [*sorted(folder.iterdir()), *(sorted(own.iterdir()) if own and own.is_dir() else [])]
        return {place.name: tuple(sorted(place.glob("*.dcm"))) for place in places if place.is_dir()}

    def accept(
        self, installation: Installation, *, by_whom: str, say: Callable[[str], None] | None = None
    ) -> GoldenBaseline:
        """Analyse the golden set again and again, and sign what it gives as the baseline.

        The floor is the largest difference between the first run and the others: two runs on a CPU, which repeats to
        the bit, and five on CUDA, where rare differences are not seen in two.

        Raises:
            Misconfigured: the bundle finds nothing in any golden study, or the runs give different findings.
        """
        name = installation.bundle.manifest.name
        first, *others = (self.run(installation, say) for _ in range(_runs(installation)))
        held = [compare(first, again) for again in others]
        worst = max(held, key=lambda replay: (len(replay.missing), _floor(replay)))
        if not first or worst.missing:
            raise Misconfigured(
                f"The golden set of {name} gives no findings that repeat: {worst.sentence}",
                cure="Put studies with findings into audit.golden_folder, a folder for each below one for the bundle.",
            )
        baseline = GoldenBaseline(first, _floor(worst), installation.fingerprint)
        former = golden_pairs(self._former(name), first, bundle=name, at=now())
        versions = [pair for pair in former if pair.again is Again.VERSION]
        save(baseline, self._home / name, self._key)
        again = golden_pairs(first, others[held.index(worst)], bundle=name, at=now())
        self._write(name, installation.fingerprint, worst, [*versions, *again])
        self._ledger.append(
            Event.ACCEPTED,
            details={"bundle": name, "fingerprint": installation.fingerprint, "by_whom": by_whom, "maps": len(first)},
        )
        return baseline

    def replay(self, installation: Installation, say: Callable[[str], None] | None = None) -> Replay:
        """Analyse the golden set again, compare it with the baseline, and record the outcome.

        Raises:
            Misconfigured: there is no baseline, or its signature does not match.
        """
        name = installation.bundle.manifest.name
        baseline = load(self._home / name, self._key)
        records = self.run(installation, say)
        replay = compare(baseline.records, records, floor=baseline.floor)
        again = golden_pairs(baseline.records, records, bundle=name, at=now())
        self._write(name, installation.fingerprint, replay, again)
        self._ledger.append(
            Event.REPLAY_PASSED if replay.passed else Event.REPLAY_FAILED,
            details={
                "bundle": name,
                "fingerprint": installation.fingerprint,
                "level": replay.level.value,
                "problem": "" if replay.passed else replay.sentence,
            },
        )
        return replay

    def is_due(self, installation: Installation, *, hours: float) -> bool:
        """Say whether to replay: the installation is not the one that was last replayed, or that was long ago."""
        query = (
            select(replays.c.fingerprint, replays.c.at)
            .where(replays.c.bundle == installation.bundle.manifest.name)
            .order_by(replays.c.id.desc())
            .limit(1)
        )
        with self._engine.connect() as connection:
            last = connection.execute(query).one_or_none()
        if last is None or last.fingerprint != installation.fingerprint:
            return True
        return bool(now() - last.at >= timedelta(hours=hours))

    def run(self, installation: Installation, say: Callable[[str], None] | None = None) -> tuple[Recorded, ...]:
        """Analyse every golden study that the bundle accepts; the same numbers as a job's."""
        records: list[Recorded] = []
        for name, paths in self.studies(installation.bundle.manifest.name).items():
            if say is not None:
                say(name)
            for number, image in enumerate(select_stacks(paths, installation.bundle).reading.images):
                with turn(choose_device(installation.options.device)):
                    analysis = analyse(image, installation.bundle, installation.options, warrant=installation.warrant)
                records.extend(record(f"{name} {number + 1}" if number else name, analysis))
        return tuple(records)

    def _former(self, bundle: str) -> tuple[Recorded, ...]:
        """Return what was accepted before; nothing where nothing was, or not what was signed."""
        try:
            return load(self._home / bundle, self._key).records
        except Misconfigured:
            return ()

    def _write(self, bundle: str, fingerprint: str, replay: Replay, again: Sequence[Pair]) -> None:
        with self._engine.begin() as connection:
            keep(connection, again)
            connection.execute(
                insert(replays).values(
                    bundle=bundle,
                    at=now(),
                    fingerprint=fingerprint,
                    level=replay.level.value,
                    passed=replay.passed,
                    sentence=replay.sentence,
                )
            )


def _runs(installation: Installation) -> int:
    return _RUNS[choose_device(installation.options.device).type]


def _floor(replay: Replay) -> float:
    return max((pair.relative_difference for pair in replay.compared), default=0.0)
