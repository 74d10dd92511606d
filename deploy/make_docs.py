"""Write the API documentation, generated from the docstrings by pdoc; a warning is an error.

Usage: ``python deploy/make_docs.py build/docs``.
"""

import os
import sys
import warnings
from pathlib import Path

import pdoc

PACKAGES = ("inference", "reports", "node")
_INHERITED = r"associations\.connection\.\w+\.(assoc|provider_queue)\b"
"""Properties of pynetdicom that pdoc takes for ours; their types are known to type checkers only."""
_OF_LIBRARIES = (
    r"(Error parsing type annotation|Failed to run TYPE_CHECKING code while parsing) "
    rf"(?!.* for ({'|'.join(PACKAGES)})\.(?!{_INHERITED}))"
)
"""How pdoc begins to speak of members that our classes inherit from libraries, whose annotations it cannot evaluate."""


def make(out: Path) -> None:
    """Write one page for each module below ``out``.

    Raises:
        Warning: a module cannot be imported, or an annotation or a docstring of ours cannot be read.
    """
    os.environ["PDOC_ALLOW_EXEC"] = "1"  # `platform`, which libraries ask on import, runs `file`
    pdoc.render.configure(docformat="google", show_source=False, footer_text="heatproof: not for diagnostic use")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=_OF_LIBRARIES)
        pdoc.pdoc(*PACKAGES, output_directory=out)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
