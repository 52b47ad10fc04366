"""bodywork.yaml's text -> plain dicts, lists and scalars, with every duplicate key and its line at once.

Refuses bombs before anything is built: depth, number of aliases and the size with all aliases written out are
bounded; tags are refused. Only null, booleans and decimal numbers are not text: dates, octals and sexagesimals stay as
written. Mapping keys are always text as written.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import yaml

from controller.core.inputs.project import yamlfault
from controller.core.text import QUOTE_LIMIT, clean, quoted

DEPTH = 12  # levels of nesting; the deepest value of a project is at five
ALIASES = 50
NODES = 20_000  # values and keys, aliases written out
MERGE = "<<"
VERSIONS = ("python",)  # keys whose numbers stay as written: 3.10 is a version, not 3.1

_Loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # libyaml where PyYAML was built with it: ten times faster
_WORDS = {
    "": None,
    "~": None,
    "null": None,
    "true": True,
    "yes": True,
    "on": True,
    "false": False,
    "no": False,
    "off": False,
}
_TEXT_TAG = "tag:yaml.org,2002:str"
_TAGS = {_TEXT_TAG, "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}


class Unreadable(Exception):
    """The text is not YAML, or one that is not built: one sentence with the line."""


@dataclass
class _Guard:
    """Sizes met in the stream of events, which costs nothing to go through."""

    depth: int = 0
    nodes: int = 0
    aliases: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    opened: list[tuple[str, int]] = field(default_factory=list)

    def count(self, event: Any) -> None:
        """Count one event. Raises Unreadable beyond a bound."""
        line, anchor = event.start_mark.line + 1, getattr(event, "anchor", "") or ""
        match event:
            case yaml.AliasEvent():
                if anchor in (name for name, _ in self.opened):
                    raise Unreadable(f"line {line}: *{clean(anchor, 40)} refers to what it is in: write it out")
                self.aliases += 1
                self.nodes += self.sizes.get(anchor, 1)
            case yaml.ScalarEvent():
                self.nodes += 1
                self.sizes[anchor] = 1
            case yaml.CollectionStartEvent():
                self.nodes += 1
                self.opened.append((anchor, self.nodes))
            case yaml.CollectionEndEvent():
                anchor, start = self.opened.pop()
                self.sizes[anchor] = self.nodes - start + 1
        if len(self.opened) > DEPTH:
            raise Unreadable(f"line {line}: nested more than {DEPTH} levels deep")
        if self.aliases > ALIASES:
            raise Unreadable(f"line {line}: more than {ALIASES} aliases (*name): write the values out")
        if self.nodes > NODES:
            raise Unreadable(f"line {line}: more than {NODES} values with all aliases (*name) written out")


def parse(text: str) -> tuple[Any, tuple[str, ...]]:
    """Return the document, and a sentence with its line for each duplicate key or tag. Raises Unreadable."""
    problems: list[str] = []
    try:
        guard = _Guard()
        for event in yaml.parse(text, Loader=_Loader):
            guard.count(event)
        node = _composed(text)
    except yaml.YAMLError as error:
        raise Unreadable(yamlfault.describe(error, text)) from None
    return _value(node, problems), tuple(dict.fromkeys(problems))


def line_of(text: str, location: Iterable[int | str]) -> int:
    """Return the line (from 1) of a value of a document that can be parsed; of what is around it where it is merged."""
    node = _composed(text)
    for part in location:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[min(part, len(node.value) - 1)]  # an item may hold line breaks
        elif isinstance(node, yaml.MappingNode):
            node = next((value for key, value in node.value if key.value == part), node)
    return int(node.start_mark.line) + 1


@lru_cache(1)
def _composed(text: str) -> Any:
    return yaml.compose(text, Loader=_Loader)


def _value(node: Any, problems: list[str]) -> Any:
    """Return what a node says."""
    if node is not None and node.tag not in _TAGS:
        problems.append(f"line {node.start_mark.line + 1}: the tag {quoted(node.tag)} is not supported: remove it")
    match node:
        case yaml.MappingNode():
            return _mapping(node, problems)
        case yaml.SequenceNode():
            return [_value(item, problems) for item in node.value]
        case yaml.ScalarNode():
            return node.value if node.style in {"'", '"', "|", ">"} else _scalar(node.value)
        case _:
            return None


def _mapping(node: Any, problems: list[str]) -> dict[str, Any]:
    """Return a mapping: its own keys, then those of merged mappings (<<) that it does not have itself."""
    own: dict[str, Any] = {}
    merged: list[Any] = []
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            problems.append(f"line {line}: a key must be plain text")
            continue
        key = key_node.value
        if key == MERGE:
            merged.append(_value(value_node, problems))
        elif key in own:
            problems.append(f"line {line}: the key {quoted(key)} appears twice: remove one")
        else:
            own[key] = _value(value_node, problems)
            if key in VERSIONS and isinstance(own[key], int | float) and not isinstance(own[key], bool):
                own[key] = value_node.value
    for value in merged:  # singly or in a list
        for mapping in value if isinstance(value, list) else [value]:
            own = {**mapping, **own} if isinstance(mapping, dict) else own
    return own


def _scalar(text: str) -> Any:
    """Return null, a boolean or a decimal number for a plain scalar that is one, else the text."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if re.fullmatch(r"[-+]?[0-9]{1,18}", text):
        return int(text)
    if len(text) <= QUOTE_LIMIT and re.fullmatch(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?", text):
        return float(text)
    return text
