"""Nodes of what was XML once: one element as an object or a list of them, with prefixes or without."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from oms_topology.events.fields import BLANKS
from oms_topology.events.json_text import canonical_text

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["inner_node", "local_name", "node_text", "objects_of", "plain_node"]

_PREFIX = re.compile(r"[\w.-]+:([^\"\\]+)")


def objects_of(node: Any) -> list[dict[str, Any]]:
    """Give the objects of a node: of a list those that it holds, else itself."""
    if type(node) is dict:
        return [node]
    return [item for item in node if isinstance(item, dict)] if isinstance(node, list) else []


def plain_node(node: Any) -> Mapping[str, Any]:
    """Give a node with its keys without prefixes; of two that become one the last in order of length wins."""
    if not isinstance(node, dict):
        return {}
    if ":" not in "".join(node):
        return node
    plain = {local_name(key): value for key, value in node.items()}
    if len(plain) < len(node):
        ordered = sorted(node, key=lambda key: (len(key.encode()), key.encode()))
        plain = {local_name(key): node[key] for key in ordered}
    return plain


@lru_cache(maxsize=512)
def local_name(key: str) -> str:
    """Give a key without its prefix."""
    match = _PREFIX.fullmatch(key)
    return match[1] if match else key


def node_text(node: Mapping[str, Any], name: str) -> str | None:
    """Give the text of a plain node's element, trimmed, of several the first; None where there is none."""
    value = node.get(name)
    if type(value) is str and value and value[0] > " " and value[-1] > " ":
        return value
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, dict):
        value = plain_node(value).get("#text")
    if value is None:
        return None
    text = value if isinstance(value, str) else canonical_text(value)
    return text.strip(BLANKS) or None


def inner_node(place: Any, name: str) -> Any:
    """Give an element by its name, with a prefix or without; None where there is none."""
    if not isinstance(place, dict):
        return None
    if name in place:
        return place[name]
    return next((place[key] for key in place if ":" in key and key.rpartition(":")[2] == name), None)
