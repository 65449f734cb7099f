"""JSON from outside, read strictly, and written the one way in which PostgreSQL writes ``jsonb``."""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from decimal import (
    Clamped,
    Context,
    Decimal,
    DecimalException,
    Inexact,
    InvalidOperation,
    Overflow,
    Subnormal,
)
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "EXACTLY",
    "MAX_DEPTH",
    "MAX_PAYLOAD_BYTES",
    "canonical_text",
    "content_hash",
    "hash_of_texts",
    "is_too_deep",
    "json_text",
    "read_json",
]

MAX_PAYLOAD_BYTES = 1024 * 1024
MAX_DEPTH = 64
_MAX_NUMBER_DIGITS = 300
_sha256 = hashlib.sha256
_THREE_DIGITS = re.compile("[0-9]{3}")
_THREE_DIGIT_BYTES = re.compile(b"[0-9]{3}")


def read_json(text: bytes | str) -> Any:
    """Read one JSON text, exactly: numbers keep their digits, and what is not JSON is an error.

    Parameters
    ----------
    text : bytes or str
        UTF-8 when bytes.

    Returns
    -------
    object
        Dictionaries, lists, strings, booleans, None, int and :class:`decimal.Decimal`.

    Raises
    ------
    ValueError
        The text is not JSON, not UTF-8, nested too deeply, or holds a number of over 300 digits.

    Examples
    --------
    >>> read_json('{"voltage": 0.50}')
    {'voltage': Decimal('0.50')}
    """
    if _DECODER is not None and not _may_hold_a_long_number(text):
        # What the quick reader refuses, the exact one decides.
        try:
            return _DECODER.decode(text)
        except (ValueError, RecursionError, DecimalException):
            pass
    try:
        return json.loads(text, parse_float=_number, parse_int=_number, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None


def _may_hold_a_long_number(text: bytes | str) -> bool:
    # A run of over 300 digits covers three neighbours of a sample of every hundredth character.
    sample = text[::100]
    found = _THREE_DIGITS if isinstance(sample, str) else _THREE_DIGIT_BYTES
    return found.search(sample) is not None  # type: ignore[arg-type]


def _number(digits: str) -> int | Decimal:
    try:
        value = Decimal(digits)
    except InvalidOperation:
        raise ValueError("a number is too large or too small") from None
    if not -_MAX_NUMBER_DIGITS < value.adjusted() < _MAX_NUMBER_DIGITS:
        raise ValueError("a number is too large or too small")
    if len(digits) > _MAX_NUMBER_DIGITS:
        raise ValueError("a number has too many digits")
    return int(value) if digits.lstrip("-").isdigit() else value


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


# The bounds of _number without a line of Python: whatever this does not take as it stands, that decides.
EXACTLY = Context(
    prec=_MAX_NUMBER_DIGITS,
    Emax=_MAX_NUMBER_DIGITS - 1,
    Emin=1 - _MAX_NUMBER_DIGITS,
    traps=[Clamped, Inexact, InvalidOperation, Overflow, Subnormal],
)

try:  # an optional accelerator; the answers are the same without it
    import msgspec
except ImportError:
    _DECODER = _ENCODER = _spaced = None
else:
    _DECODER = msgspec.json.Decoder(float_hook=EXACTLY.create_decimal)
    _ENCODER = msgspec.json.Encoder(decimal_format="number")
    _spaced = msgspec.json.format


def is_too_deep(value: Any) -> bool:
    """Tell whether lists and objects are nested more than :data:`MAX_DEPTH` deep.

    Examples
    --------
    >>> is_too_deep({"event": {"coordinates": {"lat": 31.9}}})
    False
    """
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            item
            for outer in level
            if isinstance(outer, (dict, list))
            for item in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True


def canonical_text(value: Any) -> str:
    """Write a value as PostgreSQL writes it from ``jsonb``: keys by length, then bytes.

    Parameters
    ----------
    value : object
        What :func:`read_json` gives, or plain floats and ints.

    Returns
    -------
    str
        Equal for equal JSON values, whatever their key order and spaces; ``1`` and ``1.0`` differ.

    Examples
    --------
    >>> canonical_text({"bb": [1, Decimal("2.50")], "a": None})
    '{"a": null, "bb": [1, 2.50]}'
    """
    return _canonical_bytes(value).decode("utf-8", "surrogatepass")


def json_text(value: Any) -> str:
    """Write a value as JSON, keys in their own order and every digit kept.

    Parameters
    ----------
    value : object
        What :func:`read_json` gives, or plain floats and ints.

    Examples
    --------
    >>> json_text([Decimal("2.50")])
    '[2.50]'
    """
    if _ENCODER is not None:
        with suppress(ValueError, TypeError, RecursionError, OverflowError):
            return _ENCODER.encode(value).decode()
    return _exact_text(value)


def _canonical_bytes(value: Any) -> bytes:
    if _ENCODER is not None and _spaced is not None:
        # The quick writer refuses what it would write otherwise than the exact one.
        with suppress(ValueError, TypeError, RecursionError, OverflowError):
            return _spaced(_ENCODER.encode(_ordered(value)), indent=0)
    return _exact_text(value).encode("utf-8", "surrogatepass")


def _ordered(value: Any) -> Any:
    kind = type(value)
    if kind is str or value is None or kind is bool or kind is int:
        return value
    if kind is dict:
        if not "".join(value).isascii():
            raise ValueError("keys are ordered by their bytes")
        return {key: _ordered(value[key]) for key in sorted(sorted(value), key=len)}
    if kind is list or kind is tuple:
        return [_ordered(item) for item in value]
    if kind is Decimal and value and "E" not in str(value) and value.is_finite():
        return value
    raise ValueError("written by the exact rule")


def _exact_text(value: Any) -> str:
    if isinstance(value, dict):
        pairs = sorted(((str(key), item) for key, item in value.items()), key=_key_order)
        return "{" + ", ".join(f"{_text(key)}: {_exact_text(item)}" for key, item in pairs) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_exact_text, value)) + "]"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return number_text(value)


def _key_order(pair: tuple[str, Any]) -> tuple[int, bytes]:
    key = pair[0].encode()
    return len(key), key


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def number_text(value: float | Decimal) -> str:
    """Write a number in plain digits, as PostgreSQL writes a ``numeric``.

    Examples
    --------
    >>> number_text(Decimal("1.50E+3")), number_text(0.0), number_text(-0)
    ('1500', '0.0', '0')
    """
    exact = value if isinstance(value, Decimal) else Decimal(repr(value))
    if not exact.is_finite():
        raise ValueError("not a JSON number")
    digits = f"{exact:f}"
    return digits.removeprefix("-") if not exact else digits


def content_hash(event: Any, without: frozenset[str] = frozenset({"source"})) -> str:
    """Hash an event by its content: the idempotency key where a provider gives none.

    Top keys in ``without`` are left out: a consumer copies ``source`` in from the envelope.

    Returns
    -------
    str
        SHA-256 in hexadecimal of :func:`canonical_text`.
    """
    kept = event
    if isinstance(event, dict) and not without.isdisjoint(event):
        kept = {key: value for key, value in event.items() if key not in without}
    return _sha256(_canonical_bytes(kept)).hexdigest()


def hash_of_texts(texts: Sequence[str | None]) -> str:
    """Hash what an event says, text by text: two events with one hash say the same.

    ``oms_topology.content_hash`` gives the same in SQL.

    Examples
    --------
    >>> hash_of_texts(["off", None])[:12], hash_of_texts(["off"])[:12]
    ('47b912dd6111', '8c6d592a6ed8')
    """
    if _ENCODER is not None:
        try:
            return _sha256(_ENCODER.encode(texts)).hexdigest()
        except UnicodeEncodeError:
            pass
    written = json.dumps(texts, ensure_ascii=False, separators=(",", ":"))
    return _sha256(written.encode("utf-8", "surrogatepass")).hexdigest()
