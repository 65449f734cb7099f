"""SOAP that differs from a document read before in nothing but its texts: their places are known.

The delimiters of markup (``<``, ``>`` and the double quote) and all that lies between them, but for texts
and values of attributes, are a document's skeleton. The first document of a skeleton is read by the
hardened parser, with marks in place of its texts, which shows where each text ends up. From then on a
document with the very same skeleton needs no parser: it is that document with other texts.
"""

from __future__ import annotations

import json
import re
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from oms_topology.errors import SignalParseError
from oms_topology.events.kaifa import events_of
from oms_topology.events.soap import read_xml
from oms_topology.model import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["as_consumers_json"]

_MAX_BYTES = 16_384
# Bounded, so that nobody fills the memory with shapes; a head-end has a handful.
_MOST_SHAPES = 256
_MOST_OF_ONE_SHAPE = 8
_ALIKE = bytes.maketrans(b'>"', b"<<")
_NO_DELIMITERS = bytes(set(range(256)) - set(b'<>"'))
# What no parser of XML changes, and JSON writes as it is.
_HARMLESS = bytes(set(range(0x20, 256)) - set(b'"\\&<>'))
_ENDS_IN_REFERENCE = re.compile(rb"\s(?:[\w.-]+:)?ref=\Z")
_MARK = re.compile("\ue000([0-9]+)\ue001")


class _Skeleton(NamedTuple):
    fixed_of: Callable[[Sequence[bytes]], Sequence[bytes]]
    fixed: Sequence[bytes]
    texts_of: Callable[[Sequence[bytes]], tuple[bytes, ...]]
    template: bytes


# By the delimiters; None is one that was looked at in vain.
_KNOWN: dict[bytes, list[_Skeleton | None]] = {}


def as_consumers_json(document: bytes) -> bytes | None:
    """Write the one event of a document as the consumer's JSON; None where a parser must look at it.

    Parameters
    ----------
    document : bytes
        SOAP in UTF-8.

    Returns
    -------
    bytes or None
        A JSON object ``{message_type, header, payload}``, with nothing after it.
    """
    if len(document) > _MAX_BYTES or b"<!" in document:
        return None
    delimiters = document.translate(None, _NO_DELIMITERS)
    parts = document.translate(_ALIKE).split(b"<")
    known = _KNOWN.get(delimiters, [])
    for skeleton in known:
        if skeleton is not None and skeleton.fixed_of(parts) == skeleton.fixed:
            texts = skeleton.texts_of(parts)
            return skeleton.template % texts if _are_plain(texts) else None
    if len(known) < _MOST_OF_ONE_SHAPE and (known or len(_KNOWN) < _MOST_SHAPES):
        _KNOWN.setdefault(delimiters, []).append(_learned(delimiters, parts))
    return None


def _are_plain(texts: tuple[bytes, ...]) -> bool:
    joined = b"|".join(texts)
    # What else Unicode takes for blanks is for the parser.
    return (
        b"" not in texts
        and not joined.translate(None, _HARMLESS)
        and (joined.isascii() or joined.decode().isprintable())
        and b" |" not in joined
        and b"| " not in joined
        and not joined.startswith(b" ")
        and not joined.endswith(b" ")
    )


def _learned(delimiters: bytes, parts: list[bytes]) -> _Skeleton | None:
    marked = {
        place: f"\ue000{place}\ue001".encode()
        for place in range(1, len(parts) - 1)
        if _may_vary(delimiters[place - 1 : place + 1], parts, place)
    }
    if "\ue000".encode() in b"".join(parts):
        return None
    event = _event_of(delimiters, [marked.get(place, part) for place, part in enumerate(parts)])
    pieces = _MARK.split(json.dumps(event, ensure_ascii=False))
    places = [int(number) for number in pieces[1::2]]
    if len(places) < 2:
        return None
    fixed_of = itemgetter(*sorted(set(range(len(parts))).difference(places)))
    template = b"%b".join(piece.encode().replace(b"%", b"%%") for piece in pieces[::2])
    return _Skeleton(fixed_of, fixed_of(parts), itemgetter(*places), template)


def _may_vary(around: bytes, parts: list[bytes], place: int) -> bool:
    if around == b"><":
        return bool(parts[place].strip())
    return around == b'""' and _ENDS_IN_REFERENCE.search(parts[place - 1]) is not None


def _event_of(delimiters: bytes, parts: list[bytes]) -> dict[str, Any] | None:
    document = parts[0] + b"".join(
        bytes((delimiter,)) + part for delimiter, part in zip(delimiters, parts[1:], strict=True)
    )
    try:
        events = events_of(read_xml(Source.KAIFA, document), {})
    except SignalParseError:
        return None
    return events[0] if len(events) == 1 else None
