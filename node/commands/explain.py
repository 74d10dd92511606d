"""`heatproof explain`: what the node does for a study, done for files: no network, no database."""

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from inference.analyse import analyse
from inference.analysis import Analysis
from inference.bundle.bundle import Bundle, load_bundle, load_named
from inference.errors import NotAnalysed, UnsupportedImage
from inference.options import AnalysisOptions
from inference.passport.passport import load_passport
from inference.reading.image import Image, read_study
from inference.trust.budgets import Budget
from inference.trust.warrant import Warrant
from node.jobs.summary import summarise
from reports.objects.results import ResultObject, write_not_analysed, write_results


def explain_files(
    path: Path,
    bundle_name: str,
    out: Path,
    *,
    method: str | None,
    planes_explained: int,
    device: Literal["auto", "cpu", "cuda"],
    passport: Path | None = None,
    alpha: float = 0.10,
    delta: float = 0.10,
    budget: Budget = "full",
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """Analyse every series below ``path`` and write everything to ``out``.

    Args:
        path: one DICOM file, or a folder of one study.
        bundle_name: name of a shipped bundle, or the folder of one.
        out: gets DICOM objects, PNG previews, raw maps as ``.npy`` and ``result.json``.
        method: saliency method; None: the bundle's own.
        planes_explained: how many planes of a finding get a map.
        device: auto, cpu or cuda.
        passport: what commissioning wrote for this bundle; None: no verdict.
        alpha: largest share of TRUSTED maps that may miss.
        delta: 1 - confidence of that.
        budget: evidence gathered for one verdict.
        progress: told what is being done.

    Returns:
        What ``result.json`` holds: one entry for each series.

    Raises:
        UnsupportedImage: nothing below ``path`` is a readable image.
        UnknownName: no such bundle or method.
        BundleRefused: the bundle is not sealed, or altered.
        PassportRefused: the passport is altered, has no verdict, or cannot be read.
    """
    bundle = load_bundle(Path(bundle_name)) if Path(bundle_name).is_dir() else load_named(bundle_name)
    warrant = None if passport is None else Warrant.of(load_passport(passport), alpha=alpha, delta=delta, budget=budget)
    options = AnalysisOptions(
        method=method,
        planes_explained=planes_explained,
        device=device,
        warrant="" if warrant is None else warrant.identity,
    )
    files = _files(path)
    progress(f"reading {len(files)} files")
    created = datetime.now(UTC)
    series = [
        _one_series(image, bundle, options, warrant, out / f"series-{number}", created, progress)
        for number, image in enumerate(read_study(files), start=1)
    ]
    result = {"heatproof": "NOT FOR DIAGNOSTIC USE", "created": created.isoformat(), "series": series}
    (out / "result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


def _files(path: Path) -> tuple[Path, ...]:
    files = (path,) if path.is_file() else tuple(sorted(file for file in path.rglob("*") if file.is_file()))
    if not files:
        raise UnsupportedImage(f"There is no file in {path}.", cure="Name a DICOM file or a folder with one study.")
    return files


def _one_series(
    image: Image,
    bundle: Bundle,
    options: AnalysisOptions,
    warrant: Warrant | None,
    out: Path,
    created: datetime,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    try:
        bundle.accepts(image)
        analysis = analyse(image, bundle, options, progress=progress, warrant=warrant)
    except NotAnalysed as error:
        paths = tuple(frame.path for frame in image.frames)
        written = write_not_analysed(paths, out, reason=str(error), created=created)
        return {"not_analysed": str(error), "objects": _objects(written)}
    progress("writing DICOM objects")
    written = write_results(analysis, out, created=created)
    summary = summarise((analysis,), (written,))
    for number, (shown, item) in enumerate(zip(analysis.explanations, summary["explanations"], strict=True), start=1):
        raw = out / f"map-{number}.npy"
        np.save(raw, shown.map.values, allow_pickle=False)
        item["raw_map"] = str(raw)
        item["parameters"] = dict(shown.map.parameters)
        item["layer"] = shown.map.layer
        item["seconds"] = shown.map.seconds
        item["picture"] = next(
            str(written_object.preview_path)
            for written_object in written
            if written_object.sop_instance_uid == item["capture"]
        )
    return {**summary, **_provenance(analysis), "objects": _objects(written)}


def _provenance(analysis: Analysis) -> dict[str, Any]:
    return {
        "probabilities": analysis.classification.probabilities.tolist(),
        "classes": list(analysis.classification.labels),
        "fingerprint": asdict(analysis.fingerprint),
        "source_digest": analysis.image.digest,
        "settings_digest": analysis.settings_digest,
        "weights_digest": analysis.bundle.weights_digest,
    }


def _objects(written: tuple[ResultObject, ...]) -> list[dict[str, str]]:
    return [{"role": item.role, "sop_instance_uid": item.sop_instance_uid, "path": str(item.path)} for item in written]
