"""Write the API documentation, generated from the docstrings by pdoc; a warning is an error.

Usage: ``python deploy/make_docs.py build/docs``. ``--check``: read what pages are made of, name them, write none.
"""

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import pdoc

import inference.saliency

ROOT = Path(__file__).parents[1]
PACKAGES = ("inference", "reports", "node")
_INHERITED = r"associations\.connection\.\w+\.(assoc|provider_queue)\b"
"""Properties of pynetdicom that pdoc takes for ours; their types are known to type checkers only."""
_OF_LIBRARIES = (
    r"(Error parsing type annotation|Failed to run TYPE_CHECKING code while parsing) "
    rf"(?!.* for ({'|'.join(PACKAGES)})\.(?!{_INHERITED}))"
)
"""How pdoc begins to speak of members that our classes inherit from libraries, whose annotations it cannot evaluate."""


def modules() -> list[str]:
    """Name every package and module, those too that their package's ``__all__`` leaves out; not Alembic's scripts."""
    files = [path.relative_to(ROOT) for top in PACKAGES for path in (ROOT / top).rglob("*.py")]
    named = [path.parent if path.stem == "__init__" else path.with_suffix("") for path in files]
    return sorted(".".join(path.parts) for path in named if not {"migrations", "__main__"} & {*path.parts})


def make(out: Path | None) -> None:
    """Write one page for each module below ``out``; None: read what they are made of.

    Raises:
        Warning: a module cannot be imported, or an annotation or a docstring of ours cannot be read.
    """
    os.environ["PDOC_ALLOW_EXEC"] = "1"  # `platform`, which libraries ask on import, runs `file`
    pdoc.render.configure(docformat="google", show_source=False, footer_text="heatproof: not for diagnostic use")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=_OF_LIBRARIES)
        warnings.filterwarnings("ignore", message="The module specification")  # a package brings some of its modules
        for name in inference.saliency.__all__:  # which it imports when it is asked for one, and pdoc asks for none
            getattr(inference.saliency, name)
        if out is not None:
            pdoc.pdoc(*modules(), output_directory=out)
            return
        for name in modules():
            read(pdoc.doc.Module.from_name(name))
            print(name)  # noqa: T201


def read(of: pdoc.doc.Doc[Any]) -> None:
    """Read docstring, signature and annotation of a module, a class, a function or a value, and of all in it."""
    _ = of.docstring
    if isinstance(of, pdoc.doc.Function):
        _ = of.signature
    elif isinstance(of, pdoc.doc.Variable):
        _ = of.annotation_str
    elif isinstance(of, pdoc.doc.Module | pdoc.doc.Class):
        for member in of.own_members:
            read(member)


if __name__ == "__main__":
    make(None if sys.argv[1] == "--check" else Path(sys.argv[1]))
