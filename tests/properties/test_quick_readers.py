"""The quick readers beside the parsers: what they take they read the same, field by field."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from oms_topology.events import ParsedMessages, batch, parse_many
from oms_topology.events.clock import Clock
from oms_topology.events.fields import parse_time
from oms_topology.events.quick import skeletons
from tests.properties.test_parsers_fuzz import altered_messages

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
MANY = settings(max_examples=20_000 if LONG else 150, deadline=None)
PAYLOADS = Path(__file__).parents[1] / "payloads"
RECEIVED = datetime(2025, 10, 1, 12, tzinfo=UTC)
ZONES = [ZoneInfo("UTC"), ZoneInfo("Asia/Amman")]
FORMS = [
    ("call_center" if path.name.startswith("callcenter") else path.name.split("_")[0], path.name)
    for path in sorted(PAYLOADS.iterdir())
    if path.name.startswith(("callcenter", "kaifa", "onu", "scada")) and "result" not in path.name
]
SOAP = (PAYLOADS / "kaifa_power_outage.soap.xml").read_text()


def by_parser(source: str, payload: Any, zone: ZoneInfo = ZONES[0]) -> ParsedMessages:
    with patch.object(batch, "READERS", {}):
        return parse_many(source, [payload], received_at=RECEIVED, zone=zone)


def assert_alike(source: str, payload: Any, zone: ZoneInfo = ZONES[0]) -> ParsedMessages:
    """Both ways give the same; what the quick reader takes is asked of it alone too."""
    either = parse_many(source, [payload], received_at=RECEIVED, zone=zone)
    parser = by_parser(source, payload, zone)
    assert as_values(either) == as_values(parser)
    assert either.power_statuses == parser.power_statuses
    assert either.owners == parser.owners
    assert either.device_codes == parser.device_codes
    return either


def as_values(parsed: ParsedMessages) -> Any:
    refused = [(place, error.field, error.reason) for place, error in parsed.refused]
    return json.loads(parsed.json, parse_float=Decimal), refused


def takes(source: str, payload: bytes) -> bool:
    try:
        return batch.READERS[source](payload, Clock(RECEIVED, ZONES[0])) is not None
    except ValueError:
        return False


@pytest.mark.parametrize(("source", "name"), FORMS)
def test_every_recorded_form_is_read_quickly_and_alike(source: str, name: str) -> None:
    payload = (PAYLOADS / name).read_bytes()
    assert_alike(source, payload)
    assert takes(source, payload)
    if name.endswith("json"):
        for separators in ((",", ":"), (", ", ": ")):
            written = json.dumps(json.loads(payload), separators=separators, ensure_ascii=False)
            assert takes(source, written.encode())
            assert_alike(source, written)


texts = st.text(st.characters(codec="utf-8"), max_size=9) | st.sampled_from(
    ["M90000001", "x", " x", "x ", "a|b", "a |b", "m" * 20, "m" * 21, "m" * 64, "m" * 101, "Ω" * 50,
     "\\u0041", "",
     "%b %s %", "٣٤", "K", "\u200fx", "\u00a0x", "\n", "&amp;", "'", '"', "\\"]
)  # fmt: skip
times = st.sampled_from(
    ["2025-10-01T08:02:05Z", "2025-10-01T11:02:05+03:00", "2025-10-01T08:02:05.9",
     "2025-10-01T08:02:05.123456789Z",
     "2025-10-01T08:02:05.1234567890Z",
     "2025-10-01T08:02:05+00:00", "2025-10-01 08:02:05", "2025-10-01T08:02",
     "2025-W40-3T08:02:05Z", "2025-10-01T24:00:00Z", "2025-10-01T08:02:05,5Z", "2025-10-01T08:02:05.Z",
     "20251001T080205Z",
     "2025-02-30T08:02:05Z", "1999-12-31T23:59:59Z", "2069-01-01T00:00:00Z", "2025-10-01T12:04:59Z",
     "2025-10-01T12:06:00Z",
     "2025-10-01T08:02:60Z", "3025-10-01T08:02:05Z", "0025-10-01T08:02:05Z", "2025-10-01T08:02:05z",
     " 2025-10-01T08:02:05Z",
     "2025-03-28T00:30:00", "2022-10-28T00:30:00", "2025-10-01T08:02:05.5Z", ""]
)  # fmt: skip
numbers = st.sampled_from(
    ["0", "-0", "0.0", "-0.0", "31.9454", "31.94540", "31.94545451", "-31.5", "90", "90.0000001", "1e1",
     "1e400", "1E-400",
     "3.0e0", "123456789012345678901", "7", "007", "2147483647", "2147483648", "9007199254740993",
     "0." + "0" * 320 + "1",
     "1" * 320, "true", "null", '"31.5"', "[]", "{}", "0.00000001", "NaN"]
)  # fmt: skip
anything = texts | times | st.none() | st.booleans() | st.integers(-2, 2**60) | st.floats(-200, 200)
nested = anything | st.lists(texts, max_size=2) | st.dictionaries(texts, texts, max_size=2)


def places_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places_of(item, (*path, key)))]


@st.composite
def recorded_but_for_a_few(draw: st.DrawFn) -> tuple[str, bytes]:
    """A recorded message with values put in place of others, keys doubled, added, renamed or taken out."""
    source, name = draw(st.sampled_from([form for form in FORMS if form[1].endswith("json")]))
    message = json.loads((PAYLOADS / name).read_bytes())
    for _ in range(draw(st.integers(1, 3))):
        *path, key = draw(st.sampled_from([place for place in places_of(message) if place]))
        node = message
        for step in path:
            node = node[step] if step in node or isinstance(node, list) else {}
        if not isinstance(node, dict) or key not in node:
            continue
        how = draw(st.sampled_from(["text", "time", "number", "any", "out", "more", "rename"]))
        old = node.pop(key) if how in ("out", "rename") else node[key]
        if how == "rename":
            node[draw(st.sampled_from(["ns2:", "a.b:", "é:", ":"])) + key] = old
        elif how == "more":
            node[draw(texts | st.sampled_from(["event", "request", "body", "source", "intake"]))] = draw(
                nested
            )
        elif how == "number":
            node[key] = "\ue123" + draw(numbers)
        elif how != "out":
            node[key] = draw({"text": texts, "time": times}.get(how, nested))
    written = json.dumps(message, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])))
    return source, with_numbers(written).encode("utf-8", "surrogatepass")


def with_numbers(written: str) -> str:
    """Numbers as they were drawn, digit by digit."""
    head, *rest = written.replace("\\ue123", "\ue123").split('"\ue123')
    for piece in rest:
        number, _, more = piece.partition('"') if not piece.startswith('\\"') else (piece[2:6], "", "")
        head += number + more
    return head


@given(recorded_but_for_a_few(), st.sampled_from(ZONES))
@settings(MANY, max_examples=100_000 if LONG else 500)
@example(
    ("onu", b'{"type": "ONU_Online", "onuId": 7, "timestamp": "2025-10-01T08:02:05Z", "onuId": "x"}'),
    ZONES[0],
)
@example(
    ("scada", b'{"feederId": "F", "alarmType": "x", "timestamp": "2025-10-01T08:00:00Z", "voltage": -0}'),
    ZONES[0],
)
@example(
    ("scada", b'{"event": {"feederId": "F", "alarmType": "x"}, "timestamp": "2025-10-01T08:00:00Z"}'),
    ZONES[0],
)
def test_recorded_messages_with_other_values(message: tuple[str, bytes], zone: ZoneInfo) -> None:
    assert_alike(*message, zone)


@given(st.sampled_from(sorted(batch.READERS)), altered_messages())
@MANY
def test_altered_messages_of_any_provider(source: str, message: Any) -> None:
    assert_alike(source, json.dumps(message, default=str, skipkeys=True))


@given(st.data())
@MANY
def test_damaged_bytes(data: st.DataObject) -> None:
    source, name = data.draw(st.sampled_from(FORMS))
    payload = bytearray((PAYLOADS / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(payload) - 1))
        payload[start : start + data.draw(st.integers(0, 30))] = data.draw(
            st.binary(max_size=4)
            | st.sampled_from([b" ", b'"', b"<a>", b"</a>", b"&lt;", b"\\n", b"{", b"\xef\xbb\xbf"])
        )
    assert_alike(source, bytes(payload))


leaf_texts = texts.filter(str.isprintable) | st.sampled_from(
    ["a&#65;", "a&b", "<a/>", "a>b", "]]>", "<!-- c -->", "<![CDATA[c]]>", "\r\nx"]
)


@given(st.lists(st.tuples(st.integers(0, 40), leaf_texts | times), max_size=3), st.data())
@MANY
def test_soap_with_other_texts_under_skeletons_that_are_known(
    changes: list[tuple[int, str]], data: st.DataObject
) -> None:
    pieces = SOAP.replace("PowerOutage", data.draw(st.sampled_from(["PowerOutage", "3.26.0.85", "x"]))).split(
        "><"
    )
    starts = [n for n, piece in enumerate(pieces) if ">" in piece]
    for place, text in changes:
        number = starts[place % len(starts)]
        start, _, rest = pieces[number].partition(">")
        pieces[number] = f"{start}>{text}{rest[rest.find('<') :]}"
    document = "><".join(pieces)
    for _ in range(2):  # the second time its skeleton may be known
        assert_alike("kaifa", document.encode("utf-8", "surrogatepass"))
    request = {
        "request": {"body": document, "uri": "u"},
        "timestamp": data.draw(times),
        "source": data.draw(texts),
    }
    assert_alike("kaifa", json.dumps(request, ensure_ascii=False))


def test_a_known_skeleton_needs_no_parser() -> None:
    other = SOAP.replace("M90000001", "M7").replace("Power Outage", "Ausfall über 100 %").encode()
    assert_alike("kaifa", SOAP.encode())
    with patch.object(skeletons, "read_xml", side_effect=AssertionError):
        assert takes("kaifa", other)
    assert json.loads(assert_alike("kaifa", other).json)[0]["device_code"] == "M7"
    assert not takes("kaifa", other.replace(b"<ns2:reason>", b"<ns2:reason ><!--", 1))


def test_skeletons_fill_no_memory() -> None:
    for number in range(600):
        document = SOAP.replace("<ns2:reason>", f"<ns2:reason{'<b/>' * (number % 300)}>").encode()
        assert_alike("kaifa", document) if number % 100 == 0 else skeletons.as_consumers_json(document)
    for number in range(50):
        skeletons.as_consumers_json(SOAP.replace("ns2:remark", f"ns2:r{number}").encode())
    assert len(skeletons._KNOWN) <= 256
    assert max(map(len, skeletons._KNOWN.values())) <= 8


@given(times, st.sampled_from(ZONES))
@settings(max_examples=200)
def test_the_clock_reads_times_as_the_parser_does(text: str, zone: ZoneInfo) -> None:
    read = parse_time(text, zone)
    if read is None:
        with pytest.raises(ValueError):
            Clock(RECEIVED, zone).moment(text)
        return
    at, written = Clock(RECEIVED, zone).moment(text)
    assert at == read
    assert written == read.isoformat(timespec="microseconds")[:26] + "Z"


def test_what_came_as_values_or_cannot_be_text_goes_to_the_parser() -> None:
    event = json.loads((PAYLOADS / "onu_last_gasp.function.json").read_bytes())
    assert len(assert_alike("onu", event).forms) == 1
    assert [error.reason for _, error in assert_alike("onu", '{"type": "\ud800"}').refused]
    assert assert_alike("nobody", b"{}").refused[0][1].field == "source"
