"""Write what the node is installed from, with the SHA-256 of every file: ``python deploy/make_requirements.py``.

Versions are those of constraints.txt. ``deploy/requirements.txt`` is for every platform; torch, whose build for CPUs
comes from an index of its own, stands with its CUDA libraries in ``deploy/requirements-torch.txt``. Needs uv and PyPI.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
OF_TORCH = re.compile(r"torch|triton|nvidia-|cuda-")
HEADER = "# Made by deploy/make_requirements.py (make requirements): pip install --require-hashes --no-deps -r THIS\n"


def main() -> int:
    """Resolve, and write both files."""
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "requirements.txt"
        command = [uv, "pip", "compile", "--python-version", "3.11", "--generate-hashes", "--no-header"]
        command += ["--no-annotate", "--extra", "postgres", "-c", "constraints.txt", "pyproject.toml", "-o", str(out)]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
        split(out.read_text(encoding="utf-8"))
    return 0


def split(text: str) -> None:
    """Write the entries into the two files."""
    entries = re.split(r"\n(?=\S)", text.strip())
    for name, chosen in (
        ("requirements.txt", [entry for entry in entries if not OF_TORCH.match(entry)]),
        ("requirements-torch.txt", [entry for entry in entries if OF_TORCH.match(entry)]),
    ):
        (ROOT / "deploy" / name).write_text(HEADER + "\n".join(chosen) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
