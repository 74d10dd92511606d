"""Check a wheel before it is released: ``python deploy/check_wheel.py dist/heatproof-*.whl``.

It holds every module and data file of the product, nothing of tests or training, and has the version of pyproject.toml.
"""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOPS = ("node", "inference", "reports")
LEFT_OUT = ("inference/training/", "inference/bundles/exhibit.png", "inference/saliency/gallery.jpg")
"""Files that are tracked below the packages and do not ship."""


def problems(wheel: Path) -> list[str]:
    """Return a sentence for everything that is wrong."""
    said = []
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if not name.endswith("/")}
        metadata = next(name for name in inside if name.endswith(".dist-info/METADATA"))
        about = archive.read(metadata).decode().split("\n\n")[0].splitlines()
    release = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    if f"Version: {release}" not in about:
        said.append(f"its version is not {release}")
    product = {name for name in inside if not name.split("/")[0].endswith(".dist-info")}
    said += [f"it lacks {name}" for name in sorted(expected() - product)]
    said += [f"it holds {name}" for name in sorted(product - expected())]
    return said


def expected() -> set[str]:
    """Return the names of the tracked files that ship."""
    command = ["git", "ls-files", "-z", *TOPS]
    tracked = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")  # noqa: S603
    return {name for name in tracked if name and not name.startswith(LEFT_OUT)}


def main() -> int:
    """Print what is wrong with the wheels; 1 where anything is."""
    said = [f"{wheel}: {problem}" for wheel in sys.argv[1:] for problem in problems(Path(wheel))]
    sys.stdout.write("\n".join([*said, "" if said else "The wheel holds what it should.\n"]))
    return 1 if said or len(sys.argv) < 2 else 0


if __name__ == "__main__":
    sys.exit(main())
