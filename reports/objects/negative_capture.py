"""Secondary Capture of a series on which nothing was called: its middle plane, and what is said of it (PS3.3 A.8.1)."""

from collections.abc import Iterator

from highdicom.sc import SCImage

from reports.explained import plane_of, read_header
from reports.objects.capture import REPLACES, secondary_capture
from reports.objects.request import WriteRequest
from reports.picture.negative import draw_negative
from reports.product import NOT_FOR_DIAGNOSTIC_USE
from reports.wording import plain, shortened, statement

ROLE = "negative_capture"


def write(request: WriteRequest) -> Iterator[SCImage]:
    """Make the Secondary Capture of a series without a finding; none where there is one.

    Pixel spacing and position are left out: the picture's grid is not the source's.
    """
    analysis = request.analysis
    if request.planes or analysis.classification.ranges:
        return
    index = len(analysis.image.frames) // 2
    source = read_header(analysis.image.frames[index].path)
    plane = plane_of(analysis.image, index, source)
    image = secondary_capture(draw_negative(analysis, plane).rgb, plane, source, request, role=ROLE, index=0)
    image.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    said = " ".join([f"{NOT_FOR_DIAGNOSTIC_USE}.", *statement(analysis.statement)])
    image.DerivationDescription = shortened(plain(f"{said} {REPLACES}" if request.predecessors else said), 1024)
    yield image
