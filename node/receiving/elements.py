"""The structure of an encoded data set (PS3.5 7.1 to 7.5): walked once, by lengths alone, and never by recursion.

Bounded in depth, and in number, which grows with frames and bytes, so that what is read after it (by pydicom, which
does recurse) cannot run away. Where writers are known to be careless the walk is as lenient as pydicom: implicit VR
inside an explicit data set, unknown VRs, delimiters where a length was given, odd lengths, and zeros after the end.
"""

import struct
from typing import NamedTuple, NoReturn

from pydicom.datadict import DicomDictionary
from pydicom.uid import UID
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, STANDARD_VR

from inference.errors import UnreadableInstance
from node.settings.limits import Limits

PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
"""Float, double and integer Pixel Data (PS3.3 C.7.6.24, C.7.6.25, C.7.6.3)."""
NUMBER_OF_FRAMES = 0x00280008
UNDEFINED_LENGTH = 0xFFFFFFFF
_LONGEST_INTEGER_STRING = 12
_ITEM, _ITEM_DELIMITER, _SEQUENCE_DELIMITER = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_FIRST_GROUP = 0x0008
"""Command sets, file meta information and DICOMDIR records lie below and have no place in a data set."""
_VRS = {vr.encode(): str(vr) for vr in STANDARD_VR}
_LONG = frozenset(str(vr) for vr in EXPLICIT_VR_LENGTH_32)
_BULK = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UN", "UR", "UT"})


class Element(NamedTuple):
    """Where the value of an element lies."""

    vr: str
    """As written; that of the dictionary where it is not written, empty where that does not know the tag either."""
    start: int
    length: int
    """Bytes of the value; undefined for encapsulated pixel data."""
    fragments: tuple[tuple[int, int], ...] = ()
    """Start and length of each item of encapsulated pixel data, the offset table first (PS3.5 A.4)."""


class _Level(NamedTuple):
    """A data set, an item, or a sequence that the walk is inside of."""

    end: int
    delimited: bool
    """Ends with a delimiter; ``end`` is then that of what is around it."""
    implicit: bool
    is_sequence: bool


def elements_of(encoded: bytes, syntax: UID, limits: Limits, *, wanted: frozenset[int]) -> dict[int, Element]:
    """Return the wanted elements of the outermost level by tag; of two with one tag the last, as pydicom does.

    Raises:
        UnreadableInstance: cut short, nested too deep, too many elements, too long a value, or no data set at all.
    """
    return _Walk(encoded, syntax, limits, wanted).run()


class _Walk:
    def __init__(self, encoded: bytes, syntax: UID, limits: Limits, wanted: frozenset[int]) -> None:
        order = "<" if syntax.is_little_endian else ">"
        self._encoded = encoded
        self._limits = limits
        self._wanted = wanted
        self._explicit = struct.Struct(f"{order}HH2sH").unpack_from
        self._implicit = struct.Struct(f"{order}HHL").unpack_from
        self._long = struct.Struct(f"{order}L").unpack_from
        self._assumed_implicit = syntax.is_implicit_VR
        self._position = 0
        self._count = 0
        self._most = limits.elements
        self._levels: list[_Level] = []
        self._found: dict[int, Element] = {}

    def run(self) -> dict[int, Element]:
        self._enter(len(self._encoded), implicit=self._assumed_implicit)
        while self._levels:
            level = self._levels[-1]
            if self._position >= level.end:
                if level.delimited or self._position > level.end:
                    _refuse("the data set is cut short")
                self._levels.pop()
            elif level.is_sequence:
                self._item(level)
            else:
                self._element(level)
        return self._found

    def _enter(self, end: int, *, implicit: bool, delimited: bool = False) -> None:
        """Enter a data set or an item; two capital letters show that its VR is explicit, whatever was said."""
        vr = self._encoded[self._position + 4 : self._position + 6]
        written = len(vr) == 2 and all(0x40 < letter < 0x5B for letter in vr)
        if self._levels:
            implicit = implicit or (len(vr) == 2 and not written)
        elif len(vr) == 2:
            implicit = not written
        self._levels.append(_Level(end, delimited, implicit, is_sequence=False))

    def _header(self, level: _Level) -> tuple[int, int]:
        """Read the tag and length of an item or a delimiter."""
        self._tick()
        if level.end - self._position < 8:
            _refuse("the data set is cut short")
        group, element, length = self._implicit(self._encoded, self._position)
        self._position += 8
        return group << 16 | element, length

    def _item(self, level: _Level) -> None:
        tag, length = self._header(level)
        if tag == _SEQUENCE_DELIMITER:
            self._close(level)
        elif tag == _ITEM:
            end = level.end if length == UNDEFINED_LENGTH else self._position + length
            self._check_end(end, level)
            self._enter(end, implicit=level.implicit, delimited=length == UNDEFINED_LENGTH)
        else:
            _refuse("the items of a sequence do not follow each other")

    def _close(self, level: _Level) -> None:
        """Leave a level at its delimiter; where it has a length too, that counts."""
        self._levels.pop()
        if not level.delimited:
            self._position = level.end

    def _element(self, level: _Level) -> None:
        outermost = len(self._levels) == 1
        if outermost and self._only_zeros():
            self._position = level.end
            return
        tag, vr, length = self._element_header(level)
        if tag == _ITEM_DELIMITER and not outermost:
            self._close(level)
            return
        if outermost and tag >> 16 < _FIRST_GROUP:
            _refuse("it holds elements that belong outside of a data set")
        if length == UNDEFINED_LENGTH:
            self._undefined(tag, vr, level, outermost=outermost)
            return
        end = self._position + length
        self._check_end(end, level)
        vr = vr if vr and vr != "UN" else _dictionary_vr(tag)
        if length > self._limits.text_bytes and vr and _BULK.isdisjoint(vr.split(" or ")):
            _refuse(f"a value of {length} bytes, where {self._limits.text_bytes} are the limit")
        if outermost and tag in self._wanted:
            self._keep(tag, Element(vr, self._position, length))
        if vr == "SQ":
            self._nest(_Level(end, delimited=False, implicit=level.implicit, is_sequence=True))
        else:
            self._position = end

    def _only_zeros(self) -> bool:
        """Whether nothing but padding is left."""
        start = self._position
        if any(self._encoded[start : start + 4]):
            return False
        return self._encoded.count(0, start) == len(self._encoded) - start

    def _element_header(self, level: _Level) -> tuple[int, str, int]:
        """Read tag, VR (empty where it is not written) and length, and go to the value."""
        self._tick()
        if level.end - self._position < 8:
            _refuse("the data set is cut short")
        group, element, written, length = self._explicit(self._encoded, self._position)
        vr = "" if level.implicit else _VRS.get(written, "")
        if not vr and (level.implicit or not b"AA" <= written <= b"ZZ"):
            _, _, length = self._implicit(self._encoded, self._position)
        self._position += 8
        if vr in _LONG:
            if level.end - self._position < 4:
                _refuse("the data set is cut short")
            (length,) = self._long(self._encoded, self._position)
            self._position += 4
        return group << 16 | element, vr, length

    def _undefined(self, tag: int, vr: str, level: _Level, *, outermost: bool) -> None:
        """Enter a sequence of undefined length, or pass over fragments."""
        if vr in ("SQ", "UN", "") and tag not in PIXEL_TAGS:
            self._nest(_Level(level.end, delimited=True, implicit=level.implicit, is_sequence=True))
            return
        if vr not in _BULK and tag not in PIXEL_TAGS:
            _refuse(f"an element of VR {vr} without a length")
        start = self._position
        fragments = self._fragments(level)
        if outermost and tag in self._wanted:
            self._keep(tag, Element(vr, start, UNDEFINED_LENGTH, fragments))

    def _fragments(self, level: _Level) -> tuple[tuple[int, int], ...]:
        fragments: list[tuple[int, int]] = []
        while True:
            tag, length = self._header(level)
            if tag == _SEQUENCE_DELIMITER:
                return tuple(fragments)
            if tag != _ITEM or length == UNDEFINED_LENGTH:
                _refuse("the fragments of the pixel data do not follow each other")
            self._check_end(self._position + length, level)
            fragments.append((self._position, length))
            self._position += length

    def _nest(self, level: _Level) -> None:
        if sum(1 for around in self._levels if around.is_sequence) >= self._limits.nesting_depth:
            _refuse(f"sequences nested more than {self._limits.nesting_depth} deep")
        self._levels.append(level)

    def _keep(self, tag: int, element: Element) -> None:
        if tag in PIXEL_TAGS and not PIXEL_TAGS.isdisjoint(self._found):
            _refuse("it holds pixel data twice")
        self._found[tag] = element
        if tag == NUMBER_OF_FRAMES:  # before the functional groups, as the order of tags demands (PS3.5 7.1)
            text = self._encoded[element.start : element.start + element.length].strip(b" \0")
            frames = int(text) if text.isdigit() and len(text) <= _LONGEST_INTEGER_STRING else 1
            self._most = self._limits.most_elements(frames, len(self._encoded))

    def _tick(self) -> None:
        self._count += 1
        if self._count > self._most:
            _refuse(f"more than {self._most} elements")

    def _check_end(self, end: int, level: _Level) -> None:
        if end > level.end:
            _refuse("the data set is cut short")


def _dictionary_vr(tag: int) -> str:
    entry = DicomDictionary.get(tag)
    return entry[0] if entry else ""


def _refuse(reason: str) -> NoReturn:
    raise UnreadableInstance(f"The instance cannot be kept: {reason}.")
