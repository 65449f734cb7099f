"""Whatever comes in: signals or the one error, never anything else, and the same with or without msgspec."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms_topology.errors import SignalParseError
from oms_topology.events import json_text, parse
from oms_topology.events.end_device_events import meaning_of_end_device_event
from oms_topology.events.soap import _LOCAL_NAMES
from oms_topology.model import Signal

PAYLOADS = Path(__file__).parents[1] / "payloads"
RECEIVED = datetime(2025, 10, 1, 12, tzinfo=UTC)
SOURCES = ("scada", "onu", "kaifa", "call_center")
SOAP = (PAYLOADS / "kaifa_power_outage.soap.xml").read_bytes()
MESSAGES = [json.loads(path.read_bytes()) for path in sorted(PAYLOADS.glob("*.json"))]
KEYS = sorted({key for text in map(json.dumps, MESSAGES) for key in text.split('"') if key.isidentifier()})

numbers = st.integers() | st.floats() | st.decimals()
texts = st.text(st.characters(), max_size=12) | st.sampled_from(
    [
        "2025-10-01T08:00:00Z",
        "2069-01-01T00:00:00Z",
        "PowerOutage",
        "3.26.0.85",
        "<a/>",
        "{}",
        "\ud800",
        "\x00",
    ]
)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | texts, inner, max_size=5)
    ),
    max_leaves=12,
)


def outcome(source: str, payload: Any) -> Any:
    try:
        signals = parse(source, payload, received_at=RECEIVED)
    except SignalParseError as error:
        return (error.field, error.reason) if error.source == source else pytest.fail("another source")
    assert signals
    assert all(type(signal) is Signal for signal in signals)
    assert all(signal.occurred_at.tzinfo is UTC for signal in signals)
    return signals


def exactly(source: str, payload: Any) -> Any:
    quick = json_text._DECODER, json_text._ENCODER
    json_text._DECODER = json_text._ENCODER = None
    try:
        return outcome(source, payload)
    finally:
        json_text._DECODER, json_text._ENCODER = quick


@st.composite
def altered_messages(draw: st.DrawFn) -> Any:
    """A recorded message with some of its values, anywhere, put in place by others."""
    message = json.loads(json.dumps(draw(st.sampled_from(MESSAGES))))
    for _ in range(draw(st.integers(1, 3))):
        place: Any = message
        while isinstance(place, dict) and place:
            key = draw(st.sampled_from(sorted(place)))
            if not isinstance(place[key], dict) or draw(st.booleans()):
                place[key] = draw(values)
                break
            place = place[key]
    return message


@given(st.sampled_from(SOURCES), altered_messages())
@settings(max_examples=600, deadline=None)
def test_altered_messages_give_signals_or_the_one_error(source: str, message: Any) -> None:
    outcome(source, message)
    text = json.dumps(message, default=str, skipkeys=True)
    assert outcome(source, text) == exactly(source, text)


@given(st.sampled_from(SOURCES), values)
@settings(max_examples=300, deadline=None)
def test_any_value_at_all(source: str, value: Any) -> None:
    outcome(source, value)


@given(st.sampled_from(SOURCES), st.binary(max_size=200) | st.text(st.characters(), max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_and_text(source: str, payload: bytes | str) -> None:
    assert outcome(source, payload) == exactly(source, payload)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_damaged_soap(data: st.DataObject) -> None:
    soap = bytearray(SOAP)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(soap) - 1))
        length = data.draw(st.integers(0, 40))
        soap[start : start + length] = data.draw(st.binary(max_size=8) | st.just(b"<a>") | st.just(b"&lt;"))
    outcome("kaifa", bytes(soap))


@given(values)
@settings(max_examples=300, deadline=None)
def test_the_canonical_text_is_the_same_with_and_without_the_quick_writer(value: Any) -> None:
    def written(write: Any) -> Any:
        try:
            return write(value)
        except (ValueError, TypeError, UnicodeError):
            return None

    exact = written(json_text._exact_text)
    assert exact is None or written(json_text.canonical_text) == exact


@pytest.mark.parametrize("source", SOURCES)
def test_deep_and_large_messages_end_in_the_one_error(source: str) -> None:
    for payload in (b"[" * 500_000, b'{"event":' * 50_000, b"<a>" * 300_000, b"<" * 900_000, b"9" * 900_000):
        assert outcome(source, payload)[0] in ("payload", "body")


def test_no_memory_of_names_grows_without_bound() -> None:
    for number in range(1_000):
        outcome("kaifa", f"<x{number}><EndDeviceEventType ref='t{number}'/></x{number}>")
    assert len(_LOCAL_NAMES) <= 512
    assert meaning_of_end_device_event("t999") is None
