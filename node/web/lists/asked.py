"""What a list of studies is asked for, as parameters of its address."""

from typing import Annotated, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field

LINES_SHOWN = 50
Sort = Literal["received", "state", "finding", "verdict", "delivery"]
Verdict = Literal["", "TRUSTED", "CAUTION", "WITHHELD", "OUT OF ENVELOPE", "UNCOMMISSIONED"]
Delivery = Literal["", "failed", "queued", "sent", "stored"]


class ListAsked(BaseModel):
    """Filters, order and page of the list; the address without parameters is the newest 50 of all studies."""

    model_config = ConfigDict(frozen=True)

    show: Annotated[str, Field(max_length=16)] = ""
    """A key of ``study_lines.STATES``."""
    verdict: Verdict = ""
    """Of any of its maps."""
    delivery: Delivery = ""
    """Of any of its results."""
    of: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""
    """Keyed hash of an accession number or a Patient ID; empty: of all."""
    sort: Sort = "received"
    order: Literal["", "turned"] = ""
    """Turned: the oldest first, or what needs nobody."""
    page: Annotated[int, Field(ge=1, le=100_000)] = 1
    refresh: Literal["on", "off"] = "off"

    @property
    def is_narrowed(self) -> bool:
        """Whether not all studies are asked for."""
        return bool(self.show or self.verdict or self.delivery or self.of)

    def address(self, **changes: object) -> str:
        """Return the address of this list with some parameters changed; a change of anything begins at page 1."""
        asked = {**self.model_dump(), "page": 1, **changes}
        defaults = {name: field.default for name, field in type(self).model_fields.items()}
        query = urlencode({name: value for name, value in asked.items() if value != defaults[name]})
        return f"/studies?{query}" if query else "/studies"

    def sorted_by(self, sort: Sort) -> str:
        """Return the address of this list sorted by a column; turned where it is sorted by it already."""
        turned = "turned" if self.sort == sort and not self.order else ""
        return self.address(sort=sort, order=turned)
