"""XML from outside, read without trust: no document types, no entities, nothing fetched, bounded."""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers.expat import ExpatError, ParserCreate

from oms_topology.errors import SignalParseError
from oms_topology.events.json_text import MAX_DEPTH, MAX_PAYLOAD_BYTES

__all__ = ["read_xml"]


_LOCAL_NAMES: dict[str, str] = {}


class _RefusedError(Exception):
    pass


def read_xml(source: str, text: str | bytes) -> dict[str, Any]:
    """Read an XML document as nested dictionaries under local names, whatever the prefixes.

    Parameters
    ----------
    source : str
        The provider, for errors.
    text : str or bytes
        UTF-8 when bytes; what the document declares about its encoding is not asked.

    Returns
    -------
    dict
        The root under its name. An element without children is its trimmed text, one that repeats a
        list; attributes stand under ``@name``, text beside attributes or children under ``#text``.

    Raises
    ------
    SignalParseError
        Not well-formed, over 1 MiB, nested too deeply, or with a document type.

    Examples
    --------
    >>> read_xml("kaifa", '<a:x xmlns:a="u"><a:y r="1"/><a:z> 2 </a:z></a:x>')
    {'x': {'y': {'@r': '1'}, 'z': '2'}}
    """
    if len(text) > MAX_PAYLOAD_BYTES:
        raise SignalParseError(source, "payload", "larger than 1 MiB")
    try:
        root = _element(text)
        return {_local_name(root.tag): _value(root, 1)}
    except _RefusedError as refused:
        raise SignalParseError(source, "payload", str(refused)) from None
    except (ExpatError, ValueError):
        raise SignalParseError(source, "payload", "not XML") from None


def _element(text: str | bytes) -> Element:
    builder = TreeBuilder()
    parser = ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    # Cheaper than from str.
    parser.Parse(text.encode() if isinstance(text, str) else text, True)
    return builder.close()


def _refuse(*_: object) -> None:
    raise _RefusedError("a document type or an entity, which is not allowed")


def _local_name(tag: str) -> str:
    name = tag.rpartition(":")[2]
    # Bounded in number and length, so that nobody fills the memory with names.
    if len(tag) <= 64 and len(_LOCAL_NAMES) < 512:
        _LOCAL_NAMES[tag] = name
    return name


def _value(element: Element, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise _RefusedError("nested too deeply")
    value: dict[str, Any] = {}
    for name, said in element.items():
        if not name.startswith("xmlns"):
            value["@" + _local_name(name)] = said
    for child in element:
        tag = child.tag
        name = _LOCAL_NAMES.get(tag) or _local_name(tag)
        item = _value(child, depth + 1) if len(child) or child.keys() else (child.text or "").strip()
        if name not in value:
            value[name] = item
        elif type(value[name]) is list:
            value[name].append(item)
        else:
            value[name] = [value[name], item]
    text = (element.text or "").strip()
    if not value:
        return text
    if text:
        value["#text"] = text
    return value
