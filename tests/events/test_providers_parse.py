"""What ONU, KAIFA and call-center messages say, in all their forms."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from oms_topology.errors import SignalParseError
from oms_topology.events import json_text, parse
from oms_topology.events.fields import parse_time
from oms_topology.model import CommunicationStatus

PAYLOADS = Path(__file__).parents[1] / "payloads"
RECEIVED = datetime(2025, 10, 1, 12, tzinfo=UTC)
ONU = {"onuId": 7, "type": "ONU_LastGaspAlert", "timestamp": "2025-10-01T08:00:00Z"}
CALL = {"ticketId": "T1", "timestamp": "2025-10-01T08:00:00Z", "customer": {"meterNumber": "M1"}}
SOAP = (PAYLOADS / "kaifa_power_outage.soap.xml").read_text()


def recorded(name: str) -> bytes:
    return (PAYLOADS / name).read_bytes()


def one(source: str, payload: Any, **more: Any) -> Any:
    (signal,) = parse(source, payload, received_at=RECEIVED, **more)
    return signal


def kaifa(event_type: str, **more: Any) -> dict[str, Any]:
    event = {"assets": {"mRID": "A1"}, "event_type": {"@ref": event_type}, "event_id": "E1"}
    return {
        "header": {"message_id": "m"},
        "payload": event | {"created_date_time": "2025-10-01T08:00:00Z"} | more,
    }


def reason(source: str, payload: Any) -> tuple[str, str]:
    with pytest.raises(SignalParseError) as caught:
        parse(source, payload, received_at=RECEIVED)
    assert caught.value.source == source
    return caught.value.field, caught.value.reason


@pytest.mark.parametrize(
    ("name", "power", "communication", "key"),
    [
        ("onu_last_gasp.function", "off", "offline", "onu_1759305725000_a1b2c3"),
        ("onu_last_gasp.kafka", "off", "offline", "onu_1759305725000_a1b2c3"),
        ("onu_last_gasp_via_gateway.kafka", "off", "offline", None),
        ("onu_power_restored.function", "on", "online", "onu_1759307505000_d4e5f6"),
        ("onu_power_restored.kafka", "on", "online", "onu_1759307505000_d4e5f6"),
    ],
)
def test_every_recorded_onu_form(name: str, power: str, communication: str, key: str | None) -> None:
    signal = one("onu", recorded(f"{name}.json"))
    assert (str(signal.device), signal.power_status, signal.communication_status) == (
        "onu 9100001",
        power,
        communication,
    )
    assert signal.meter_numbers == ("M90000001", "M90000002")
    assert signal.findings == ()
    assert signal.source_event_id == (key or f"sha256:{signal.content_hash}")
    assert signal.details["parcel_code"] == "09990000001"
    assert signal.details["latitude"] == "31.945400"
    assert signal.occurred_at.isoformat()[:16] in ("2025-10-01T08:02", "2025-10-01T08:31")


def test_meters_of_an_onu_in_untidy_lists() -> None:
    meters = ["M1", 5, {"meterNumber": " M2 "}, "M1", None, True, {}, [1]]
    signal = one("onu", ONU | {"associatedMeters": meters})
    assert signal.meter_numbers == ("M1", "5", "M2")
    assert [str(f.reason) for f in signal.findings] == ["holds what is not a meter number"]
    assert one("onu", ONU | {"associatedMeters": "M9"}).meter_numbers == ("M9",)


@pytest.mark.parametrize(
    ("said", "power", "communication"),
    [
        ("ONU_LossOfSignal", "unknown", "offline"),
        ("ONU_Online", "unknown", "online"),
        ("onu power restored", "on", "online"),
        ("ONU_Rebooted", "unknown", "unknown"),
    ],
)
def test_reach_and_power_of_an_onu_are_two_things(said: str, power: str, communication: str) -> None:
    signal = one("onu", ONU | {"type": said, "alarmData": {"category": "critical"}})
    assert (signal.power_status, signal.communication_status) == (power, communication)
    assert [f.field for f in signal.findings] == (["type"] if said == "ONU_Rebooted" else [])


@pytest.mark.parametrize(
    ("name", "power"),
    [
        ("kaifa_power_outage.soap.xml", "off"),
        ("kaifa_power_outage.kafka.json", "off"),
        ("kaifa_power_outage.function.json", "off"),
        ("kaifa_low_severity.function.json", "off"),
        ("kaifa_single_detail_as_object.function.json", "off"),
        ("kaifa_power_restored.INFERRED.function.json", "on"),
    ],
)
def test_every_recorded_kaifa_form(name: str, power: str) -> None:
    signal = one("kaifa", recorded(name))
    assert str(signal.device) == "meter M90000001"
    assert signal.power_status == power
    assert signal.communication_status is not CommunicationStatus.UNKNOWN
    assert signal.findings == ()
    assert signal.details["event_id"] == f"{signal.details['message_id']}_2"
    assert signal.source_event_id == "|".join(
        (signal.details["message_id"], signal.details["event_id"], "M90000001")
    )


def test_the_three_stages_of_one_kaifa_event_are_one_signal() -> None:
    names = ("soap.xml", "kafka.json", "function.json")
    signals = [one("kaifa", recorded(f"kaifa_power_outage.{name}")) for name in names]
    assert len({(s.source_event_id, s.content_hash, s.occurred_at) for s in signals}) == 1
    assert signals[0].occurred_at == datetime(2025, 10, 1, 8, 2, 24, 528000, tzinfo=UTC)
    assert signals[1].sent_at == signals[2].sent_at


def test_prefixes_of_soap_do_not_count() -> None:
    expected = one("kaifa", SOAP)
    other = SOAP.replace("ns1:", "m:").replace("ns2:", "").replace("xmlns:ns1", "xmlns:m")
    bare = SOAP[SOAP.index("<ns1:EventMessage") : SOAP.index("</soap:Body>")]
    for text in (other, bare, SOAP.encode()):
        assert one("kaifa", text).content_hash == expected.content_hash
    unprefixed = recorded("kaifa_power_outage.function.json").replace(b"ns2:", b"").replace(b"ns1:", b"")
    assert one("kaifa", unprefixed).content_hash == expected.content_hash


def test_several_events_and_assets_in_one_message() -> None:
    start, end = SOAP.index("<ns2:EndDeviceEvent>"), SOAP.index("</ns2:EndDeviceEvents>")
    event = SOAP[start:end]
    second = event.replace("M90000001", "M2").replace("PowerOutage", "3.26.0.216").replace("_1_2<", "_1_3<")
    broken = event.replace("M90000001", "").replace("up_90000001", "")
    signals = parse("kaifa", SOAP[:start] + event + broken + second + SOAP[end:], received_at=RECEIVED)
    assert [(s.device.code, s.power_status) for s in signals] == [("M90000001", "off"), ("M2", "on")]
    assert [f.field for f in signals[0].findings] == ["EndDeviceEvent 2: payload.assets"]
    assert signals[1].findings == ()
    two = kaifa("PowerOutage", assets=[{"mRID": "A1"}, {"ns2:mRID": "A2"}])
    assert (one("kaifa", two).device.code, one("kaifa", two).meter_numbers) == ("A1", ("A1", "A2"))


@pytest.mark.parametrize(
    ("code", "power", "communication", "findings"),
    [
        ("3.26.0.85", "off", "offline", 0),
        ("3.26.136.47", "off", "offline", 0),
        ("26.26.0.216", "on", "online", 0),
        ("Power Restored", "on", "online", 0),
        ("3.23.136.47", "unknown", "offline", 0),
        ("3.26.38.150", "unknown", "online", 0),
        ("3.12.29.212", "unknown", "online", 0),
        ("0.31.0.68", "unknown", "online", 0),
        ("3.26.136.66", "off", "offline", 0),
        ("3.99.99.99", "unknown", "unknown", 1),
    ],
)
def test_only_what_the_event_says_counts(code: str, power: str, communication: str, findings: int) -> None:
    for severity in ("Critical", "Low"):
        signal = one("kaifa", kaifa(code, severity=severity))
        assert (signal.power_status, signal.communication_status) == (power, communication)
        assert len(signal.findings) == findings


def test_an_outage_that_is_over_says_nothing() -> None:
    signal = one("kaifa", kaifa("PowerOutage", status={"ns2:value": "Inactive"}))
    assert (signal.power_status, [f.field for f in signal.findings]) == (
        "unknown",
        ["payload.status"],
    )


@pytest.mark.parametrize("name", ["callcenter_intake.kafka", "callcenter_ticket.function"])
def test_recorded_tickets(name: str) -> None:
    signal = one("call_center", recorded(f"{name}.json"))
    assert (str(signal.device), signal.source_event_id) == ("meter M90000001", "TC_1759305791516")
    assert signal.details["intake_id"] == "tc_1759305791600_791516"
    assert signal.details["source"] == "call-center-intake"
    assert signal.findings == ()


def test_notes_stand_in_either_place_and_a_call_is_evidence_only() -> None:
    for name in ("callcenter_intake.kafka", "callcenter_ticket_via_gateway.kafka"):
        signal = one("call_center", recorded(f"{name}.json"))
        assert signal.details["notes"] == "No power since 11:00"
        assert signal.is_evidence_only
        assert signal.communication_status is CommunicationStatus.UNKNOWN
        shown = repr(signal)
        assert "No power" not in shown
        assert "+962" not in shown
        assert "Street" not in shown


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("  m90000001\t", "M90000001"),
        ("M 9000-0001", "M90000001"),
        ("#M90000001", "M90000001"),
        ("\u200eM\u0669\u0660\u0660\u0660\u00a00001", "M90000001"),
        (90000001, "90000001"),
        ("A-B-7", "A-B-7"),
    ],
)
def test_untidy_meter_numbers(typed: Any, code: str) -> None:
    assert one("call_center", CALL | {"customer": {"meterNumber": typed}}).device.code == code


@pytest.mark.parametrize("typed", [None, "", " \u200b ", ["M1"], "\u00a0"])
def test_a_ticket_without_a_meter_is_known_by_its_number(typed: Any) -> None:
    signal = one("call_center", CALL | {"customer": {"meterNumber": typed}})
    assert str(signal.device) == "caller T1"
    assert "meterNumber" in [f.field for f in signal.findings]


@pytest.mark.parametrize(("source", "event"), [("onu", ONU), ("call_center", CALL), ("scada", None)])
def test_impossible_clocks_are_kept_and_flagged(source: str, event: dict[str, Any] | None) -> None:
    event = event or {"feederId": "F", "alarmType": "fault"}
    for said in ("2069-01-01T00:00:00Z", "1999-01-01T00:00:00Z"):
        signal = one(source, event | {"timestamp": said})
        assert (signal.occurred_at, signal.time_is_sound) == (RECEIVED, False)
        assert [f.field for f in signal.findings] == ["timestamp"]
        assert source == "scada" or signal.reported_at == datetime.fromisoformat(said)
    past = one(source, event | {"timestamp": "2003-01-01T00:00:00Z"})
    assert (past.occurred_at.year, past.time_is_sound, past.findings) == (2003, True, ())
    naive = one(source, event | {"timestamp": "2025-10-01T11:00:00"}, zone=ZoneInfo("Asia/Amman"))
    assert naive.occurred_at == datetime(2025, 10, 1, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("source", "payload", "field"),
    [
        ("onu", b"{", "payload"),
        ("onu", b"[]", "payload"),
        ("onu", {"event": {"method": "POST", "body": "{"}}, "body"),
        ("onu", {"event": {"method": "POST", "body": "5"}}, "payload"),
        ("onu", {**ONU, "onuId": None}, "onuId"),
        ("onu", {**ONU, "type": ""}, "type"),
        ("onu", {**ONU, "timestamp": None}, "timestamp"),
        ("kaifa", b"<a>", "payload"),
        ("kaifa", b"<a/>", "payload"),
        ("kaifa", kaifa(""), "payload.event_type"),
        ("kaifa", kaifa("PowerOutage", assets={}), "payload.assets"),
        ("kaifa", kaifa("PowerOutage", created_date_time=None), "payload.created_date_time"),
        ("call_center", {**CALL, "customer": "Jane"}, "customer"),
        ("semaphore", b"{}", "source"),
    ],
)
def test_what_cannot_be_used_names_its_field_and_no_person(source: str, payload: Any, field: str) -> None:
    found, why = reason(source, payload)
    assert found == field
    assert "Jane" not in why


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "a document type or an entity, which is not allowed"),
        (
            '<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
            "a document type or an entity, which is not allowed",
        ),
        ("<a>&x;</a>", "not XML"),
        ("<a>" * 70 + "</a>" * 70, "nested too deeply"),
        ("<a>" * 100_000 + "</a>" * 100_000, "nested too deeply"),
        ("<a>" + "x" * 1024 * 1024 + "</a>", "larger than 1 MiB"),
        (b'<?xml version="1.0" encoding="utf-16"?><a>\xff</a>', "not XML"),
    ],
)
def test_xml_is_read_without_trust(text: str | bytes, why: str) -> None:
    assert reason("kaifa", text) == ("payload", why)


def test_answers_are_the_same_without_the_quick_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = [
        (name.split("_")[0].replace("callcenter", "call_center"), recorded(name))
        for name in (path.name for path in sorted(PAYLOADS.glob("*_*.*")))
        if name.split("_")[0] in ("onu", "kaifa", "callcenter") or name.startswith("scada_loss")
    ]
    quick = [parse(source, payload, received_at=RECEIVED) for source, payload in samples]
    monkeypatch.setattr(json_text, "_DECODER", None)
    monkeypatch.setattr(json_text, "_ENCODER", None)
    assert [parse(source, payload, received_at=RECEIVED) for source, payload in samples] == quick
    assert len(samples) > 12


def test_the_short_way_to_a_time_is_as_strict() -> None:
    utc = ZoneInfo("UTC")
    assert parse_time("2025-10-01T08:02:02.0042119", utc) == datetime(2025, 10, 1, 8, 2, 2, 4211, tzinfo=UTC)
    for wrong in (
        "2025-10-01T24:00:00Z",
        "2025-02-30T00:00:00.1Z",
        "2025-10-01T08:00:0\u0661.0Z",
        "2025-10-01T08:00:00.Z",
    ):
        assert parse_time(wrong, utc) is None
