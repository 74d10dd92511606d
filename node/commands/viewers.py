"""``heatproof config objects``: the kinds of result for a destination, by the viewer that its readers use."""

import sys
from typing import Annotated

import typer


def objects(
    viewer: Annotated[str, typer.Argument(help="ohif, orthanc, dwv or other.")] = "other",
) -> None:
    """Propose the kinds of result for a destination, by the viewer that its readers use."""
    from node.settings.text.viewers import proposal

    sys.stdout.write(proposal(viewer))
