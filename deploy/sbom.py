"""Write what ships, as CycloneDX 1.6 and a table of licences: ``python deploy/sbom.py SBOM.json --licences PAGE.md``.

The components are the packages of ``deploy/requirements.txt`` and ``requirements-torch.txt`` with the SHA-256 of their
files, and the weights of the shipped bundles with theirs. Licences are what installed packages say of themselves.
"""

import argparse
import hashlib
import json
import re
import sys
import uuid
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PINNED = re.compile(r"^([A-Za-z0-9_.-]+)==([^ ;\\]+)", re.MULTILINE)
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
NOT_INSTALLED = "not installed here: see its page on PyPI"


def main() -> None:
    """Write the files that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sbom", type=Path, nargs="?")
    parser.add_argument("--licences", type=Path)
    chosen = parser.parse_args()
    if chosen.sbom:
        chosen.sbom.parent.mkdir(parents=True, exist_ok=True)
        chosen.sbom.write_text(json.dumps(sbom(), indent=1) + "\n", encoding="utf-8")
    if chosen.licences:
        chosen.licences.write_text(licences(), encoding="utf-8")


def pinned() -> dict[str, tuple[str, list[str]]]:
    """Return version and SHA-256 digests of every package that is installed with the node, by its name."""
    found: dict[str, tuple[str, list[str]]] = {}
    for name in ("requirements.txt", "requirements-torch.txt"):
        for entry in re.split(r"\n(?=\S)", (ROOT / "deploy" / name).read_text(encoding="utf-8")):
            match = PINNED.match(entry)
            if match:
                found[match[1].lower()] = (match[2], HASH.findall(entry))
    return dict(sorted(found.items()))


def weights() -> list[tuple[str, str, Path]]:
    """Return bundle, SHA-256 and path of each file of weights that ships."""
    files = sorted((ROOT / "inference" / "bundles").glob("*/**/*.safetensors"))
    return [
        (path.relative_to(ROOT / "inference" / "bundles").parts[0], hashlib.sha256(path.read_bytes()).hexdigest(), path)
        for path in files
    ]


def sbom() -> dict[str, Any]:
    """Return the bill of materials; the same for the same inputs."""
    product = {
        "type": "application",
        "bom-ref": "heatproof",
        "name": "heatproof",
        "version": version("heatproof"),
        "licenses": [{"license": {"id": "Apache-2.0"}}],
        "purl": f"pkg:pypi/heatproof@{version('heatproof')}",
    }
    packages = [
        {
            "type": "library",
            "bom-ref": f"pkg:pypi/{name}@{release}",
            "name": name,
            "version": release,
            "purl": f"pkg:pypi/{name}@{release}",
            "licenses": [{"license": {"name": licence_of(name)}}],
            "properties": [{"name": "heatproof:sha256", "value": digest} for digest in digests],
        }
        for name, (release, digests) in pinned().items()
    ]
    models = [
        {
            "type": "machine-learning-model",
            "bom-ref": f"weights:{digest}",
            "name": str(path.relative_to(ROOT)),
            "hashes": [{"alg": "SHA-256", "content": digest}],
            "licenses": [{"license": {"name": f"see inference/bundles/{bundle}/LICENSE"}}],
        }
        for bundle, digest, path in weights()
    ]
    references = [component["bom-ref"] for component in (*packages, *models)]
    named = json.dumps([product, references]).encode()
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.UUID(hashlib.sha256(named).hexdigest()[:32], version=5)}",
        "version": 1,
        "metadata": {"component": product},
        "components": [*packages, *models],
        "dependencies": [{"ref": "heatproof", "dependsOn": list(dict.fromkeys(references))}],
    }


def licence_of(name: str) -> str:
    """Return the licence that an installed package states: SPDX expression, else classifiers, else its own words."""
    try:
        about = distribution(name).metadata
    except PackageNotFoundError:
        return NOT_INSTALLED
    expression = about.get("License-Expression")
    classifiers = [text.rpartition(" :: ")[2] for text in about.get_all("Classifier", []) if text.startswith("License")]
    field = (about.get("License") or "").strip().split("\n")[0]
    return expression or ", ".join(classifiers) or field[:60] or "not stated"


def licences() -> str:
    """Return the table of licences as a page."""
    lines = [
        "# Licences of what ships", "",
        "Made by `make sbom`. heatproof itself: Apache-2.0 (LICENSE). The weights of a bundle: LICENSE in its folder.",
        "", "| package | version | licence, as it states it |", "|---|---|---|",
    ]  # fmt: skip
    lines += [f"| {name} | {release} | {licence_of(name)} |" for name, (release, _) in pinned().items()]
    lines += ["", "| weights | SHA-256 | licence |", "|---|---|---|"]
    for bundle, digest, path in weights():
        where = f"[LICENSE](../inference/bundles/{bundle}/LICENSE)"
        lines.append(f"| {path.relative_to(ROOT / 'inference' / 'bundles')} | `{digest[:16]}…` | {where} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
