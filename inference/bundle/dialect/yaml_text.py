"""YAML of plain values: no tag is constructed, aliases are bounded before they are followed.

PyYAML's own safe loader is not enough: ten lines of aliases to aliases stand for 10^9 values, and it follows a
mapping that contains itself. Here the events are counted first, then the node graph is turned into plain values.
"""

import re
import warnings
from typing import Any

import yaml
from yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, NodeEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from inference.errors import BundleRefused
from inference.parsing import DEEPEST, MOST_BYTES

MOST_EVENTS = 8_000
MOST_ALIASES = 200
MOST_VALUES = 50_000
"""After aliases are followed."""

_PLAIN = {f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp")}
_INTEGER = re.compile(r"[-+]?[0-9_]{1,40}$")


def parse_yaml(content: bytes, name: str) -> Any:
    """Parse one YAML document.

    Raises:
        BundleRefused: not YAML, a tag other than the plain ones, a key twice, or beyond the limits above.
    """
    if len(content) > MOST_BYTES:
        raise BundleRefused(f"{name} is larger than {MOST_BYTES} bytes.")
    try:
        text = content.decode("utf-8-sig")
        _check_events(text, name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        return None if node is None else _Values(name).value(node, 0)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise BundleRefused(f"{name} is not valid YAML: {' '.join(str(error).split())[:400]}.") from error


def _check_events(text: str, name: str) -> None:
    aliases = depth = 0
    for events, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        aliases += isinstance(event, AliasEvent)
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if events > MOST_EVENTS or aliases > MOST_ALIASES or depth > DEEPEST:
            raise BundleRefused(
                f"{name} has more than {MOST_EVENTS} values, {MOST_ALIASES} aliases or {DEEPEST} levels."
            )
        if isinstance(event, NodeEvent) and getattr(event, "tag", None) not in (None, "!", *_PLAIN):
            raise BundleRefused(
                f"{name}, line {event.start_mark.line + 1}: the tag {event.tag!r} would construct an object.",
                cure="Write the value without a tag.",
            )


class _Values:
    """Plain values of a node graph."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._count = 0
        self._scalars = yaml.constructor.SafeConstructor()

    def value(self, node: Node, depth: int) -> Any:
        self._count += 1
        if depth > DEEPEST or self._count > MOST_VALUES:
            raise BundleRefused(
                f"{self._name} has more than {MOST_VALUES} values or {DEEPEST} levels once its aliases are followed."
            )
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        if isinstance(node, SequenceNode):
            return [self.value(item, depth + 1) for item in node.value]
        if not isinstance(node, MappingNode):
            raise BundleRefused(f"{self._name} holds what is neither a scalar, a sequence nor a mapping.")
        mapping: dict[Any, Any] = {}
        for key_node, item in node.value:
            key = self._key(key_node)
            if key in mapping:
                raise BundleRefused(f"{self._name}, line {key_node.start_mark.line + 1}: the key {key!r} stands twice.")
            mapping[key] = self.value(item, depth + 1)
        return mapping

    def _key(self, node: Node) -> Any:
        line = node.start_mark.line + 1
        if not isinstance(node, ScalarNode):
            raise BundleRefused(f"{self._name}, line {line}: a key must be a word or a number.")
        if node.tag == "tag:yaml.org,2002:merge":
            raise BundleRefused(f"{self._name}, line {line}: merge keys (<<) are not read.", cure="Write the keys out.")
        return self._scalar(node)

    def _scalar(self, node: ScalarNode) -> Any:
        kind = node.tag.rpartition(":")[2]
        if kind == "timestamp":
            return str(node.value)
        if kind == "int" and not _INTEGER.match(node.value):
            return self._odd_integer(node)
        if kind in ("str", "value", "merge"):
            return str(node.value)
        return self._scalars.construct_object(node)

    def _odd_integer(self, node: ScalarNode) -> Any:
        if len(node.value) > 40:
            raise BundleRefused(f"{self._name}, line {node.start_mark.line + 1}: the number is too large.")
        return self._scalars.construct_object(node)
