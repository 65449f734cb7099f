"""What a SCADA message says, in all its forms, without any database."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from oms_topology.errors import SignalParseError
from oms_topology.events import parse
from oms_topology.events.json_text import canonical_text, is_too_deep, read_json
from oms_topology.model import DeviceKind, PowerStatus

PAYLOADS = Path(__file__).parents[1] / "payloads"
RECEIVED = datetime(2025, 10, 1, 12, tzinfo=UTC)
MINIMAL = {"feederId": "F1", "alarmType": "fault", "timestamp": "2025-10-01T08:00:00Z"}


def read(message: Any, **more: Any) -> Any:
    (signal,) = parse("scada", message, received_at=RECEIVED, **more)
    return signal


@pytest.mark.parametrize(
    ("name", "power"),
    [
        ("scada_loss_of_voltage.kafka", PowerStatus.OFF),
        ("scada_loss_of_voltage.function", PowerStatus.OFF),
        ("scada_outbox_record", PowerStatus.OFF),
        ("scada_breaker_trip.kafka", PowerStatus.OFF),
        ("scada_breaker_trip.function", PowerStatus.OFF),
        ("scada_doc_example_missing_mainStationId.function", PowerStatus.OFF),
        ("scada_restoration.kafka", PowerStatus.ON),
        ("scada_restoration.function", PowerStatus.ON),
    ],
)
@pytest.mark.parametrize("decoded", [bytes, str, dict])
def test_every_recorded_form_is_read(name: str, power: PowerStatus, decoded: type) -> None:
    raw = (PAYLOADS / f"{name}.json").read_bytes()
    payload = {bytes: raw, str: raw.decode(), dict: json.loads(raw)}[decoded]
    signal = read(payload)
    assert str(signal.device) == "feeder F00Z901"
    assert signal.power_status is power
    assert signal.findings == ()
    assert signal.details["severity"] in ("High", "Medium", "critical")
    assert (signal.sent_at is not None) is ("kafka" in name or "outbox" in name)


def test_the_forms_of_one_event_have_one_key() -> None:
    names = ("scada_loss_of_voltage.kafka", "scada_loss_of_voltage.function", "scada_outbox_record")
    signals = [read((PAYLOADS / f"{name}.json").read_bytes()) for name in names]
    assert len({signal.source_event_id for signal in signals}) == 1
    assert {signal.source_event_id for signal in signals} == {f"sha256:{signals[0].content_hash}"}


def test_the_nearest_device_that_is_named_is_the_one() -> None:
    assert read(MINIMAL | {"substationId": "SS1"}).device.kind is DeviceKind.FEEDER
    assert read(MINIMAL | {"switchId": "SW1"}).device.kind is DeviceKind.SWITCH
    assert read(MINIMAL | {"feederId": " ", "substationId": "SS1"}).device.kind is DeviceKind.SUBSTATION


def test_an_event_id_is_the_key_and_the_content_is_hashed_beside_it() -> None:
    first, second = read(MINIMAL | {"eventId": "E1"}), read(MINIMAL | {"eventId": "E1", "voltage": 1})
    assert first.source_event_id == second.source_event_id == "E1"
    assert first.content_hash != second.content_hash


def test_the_envelope_outranks_an_event_that_is_ahead_of_it() -> None:
    sent = RECEIVED - timedelta(minutes=1)
    near = read({"event": MINIMAL | {"timestamp": "2025-10-01T12:03:00Z"}, "timestamp": sent.isoformat()})
    assert (near.occurred_at, near.findings) == (datetime(2025, 10, 1, 12, 3, tzinfo=UTC), ())
    far = read({"event": MINIMAL | {"timestamp": "2025-10-01T15:00:00Z"}, "timestamp": sent.isoformat()})
    assert (far.occurred_at, far.time_is_sound) == (sent, True)
    assert [finding.field for finding in far.findings] == ["timestamp"]


def test_naive_times_are_of_the_sources_zone() -> None:
    signal = read(MINIMAL | {"timestamp": "2025-10-01T11:00:00"}, zone=ZoneInfo("Asia/Amman"))
    assert signal.occurred_at == datetime(2025, 10, 1, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("payload", "field", "reason"),
    [
        (b"{", "payload", "not JSON"),
        (b"[]", "payload", "not a JSON object"),
        (b"\xff", "payload", "not JSON"),
        ({**MINIMAL, "feederId": 1.5e200}, "feederId", "longer than 64 characters"),
        ({**MINIMAL, "feederId": [1]}, "feederId", "not a text"),
        ({**MINIMAL, "feederId": ""}, "substationId", "missing, and so are feederId and switchId"),
        ({**MINIMAL, "alarmType": " "}, "alarmType", "missing, and so is eventType"),
        ({**MINIMAL, "timestamp": None}, "timestamp", "missing, and no envelope gives a time"),
        ({**MINIMAL, "timestamp": 5}, "timestamp", "not a time, and no envelope gives one"),
    ],
)
def test_what_cannot_be_used_is_an_error_that_names_source_field_and_reason(
    payload: Any, field: str, reason: str
) -> None:
    with pytest.raises(SignalParseError) as caught:
        read(payload)
    error = caught.value
    assert (error.source, error.field, error.reason) == ("scada", field, reason)
    assert str(error) == f"scada message cannot be used: {field}: {reason}"
    assert not error.is_transient


def test_json_is_read_exactly_and_written_one_way() -> None:
    assert canonical_text(read_json('{"bb": 1.50, "a": [1e2, -0, null], "é": "\\u0007"}')) == (
        '{"a": [100, 0, null], "bb": 1.50, "é": "\\u0007"}'
    )
    for wrong in ("NaN", "[1e9999999999999999999]", "1e301", "9" * 301, '{"a": 1} x', ""):
        with pytest.raises(ValueError, match=r".+"):
            read_json(wrong)


def test_depth_is_measured_without_recursion() -> None:
    deep: Any = 0
    for _ in range(50_000):
        deep = [deep]
    assert is_too_deep(deep)
    assert not is_too_deep([[]] * 100)
