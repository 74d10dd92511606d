"""What is proposed for a viewer is what it was seen to show, and the guide's table says the same."""

import re
import tomllib
from pathlib import Path

import pytest

from inference.errors import Misconfigured
from node.settings.destination import Destination
from node.settings.text.viewers import VIEWERS, proposal
from reports.objects.roles import ALWAYS, ROLES

GUIDE = (Path(__file__).parents[3] / "deploy" / "guide" / "reading-a-result.md").read_text()


def test_the_guides_table_says_of_every_object_and_viewer_what_was_tried() -> None:
    lines = re.findall(r"^\| `(\w+)` \| [^|]+ \|(.+)\|$", GUIDE, re.MULTILINE)
    table = {role: [cell.strip() for cell in cells.split("|")] for role, cells in lines if role != "objects"}
    assert set(table) == set(ROLES)
    for column, viewer in enumerate(VIEWERS.values()):
        for role, cells in table.items():
            said = {True: "yes", False: "no", None: "not tried"}[viewer.tried.get(role)]
            assert re.match(rf"{said}(:|$)", cells[column]), (role, viewer.title, cells[column])


@pytest.mark.parametrize("viewer", VIEWERS)
def test_what_is_proposed_is_a_line_of_the_settings(viewer: str) -> None:
    proposed = tomllib.loads(proposal(viewer))
    destination = Destination(name="pacs", ae_title="PACS", host="127.0.0.1", port=104, **proposed)
    assert set(ALWAYS) <= set(destination.objects)
    assert not [role for role in destination.objects if VIEWERS[viewer].tried.get(role) is False]


def test_ohif_gets_what_it_lays_over_the_source() -> None:
    assert {"segmentation", "parametric_map"} <= set(VIEWERS["ohif"].objects)
    assert "key_objects" not in VIEWERS["ohif"].objects


def test_an_unknown_viewer_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(Misconfigured) as refusal:
        proposal("sonar")
    assert "ohif, orthanc, dwv, other" in str(refusal.value.cure)
