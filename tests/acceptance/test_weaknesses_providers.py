"""What the deployed ONU, KAIFA and call-center paths and their consumers get wrong, line by line
[37-68, 111-113, 118-125], and what ours does instead, at both doors where both have it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from oms_topology import Pipeline
from oms_topology.errors import StoreError, StoreUnavailableError
from oms_topology.model import StreamPosition
from oms_topology.persistence.stream_positions import positions_of
from oms_topology.service.consumers.loop import ConsumerLoop
from oms_topology.service.consumers.metrics import ConsumerMetrics
from oms_topology.service.consumers.writer import BatchWriter
from tests.persistence.contract_functions import Grid, payload
from tests.service.consumers.list_source import ListSource
from tests.service.consumers.members import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oms_topology.persistence.database import Database

FUNCTIONS = {
    "scada": "insert_scada_event_with_meter_check",
    "onu": "insert_onu_event_from_json_with_meter_sync",
    "kaifa": "insert_kaifa_event_from_json_with_meter_sync",
    "call_center": "insert_callcenter_ticket_from_json_with_meter_link",
}
ON_THE_ONU = ["M90000001", "M90000002", "M90000003"]
SOAP = (Path(__file__).parents[1] / "payloads" / "kaifa_power_outage.soap.xml").read_text(encoding="utf-8")
UPDATE = "SELECT update_meter_status(%s, %s, %s, %s, %s, %s)"


class Door(Grid):
    """The small network, and one of the doors to it."""

    def __init__(self, database: Database, name: str) -> None:
        super().__init__(database.engine)
        self.database = database
        self.name = name

    def take(self, source: str, message: Any) -> bool:
        """Hand a message in; tell whether it could be used."""
        if self.name == "sql":
            result = self.call(FUNCTIONS[source], message)
            return not (result is None or (source == "scada" and result.get("dead_letter_id")))
        written = message if isinstance(message, str) else json.dumps(message)
        with Pipeline(self.database) as pipeline:
            return pipeline.handle(source, written).accepted

    def off(self) -> list[str]:
        return [meter for meter, power in sorted(self.statuses().items()) if power == "off"]

    def link(self, meter: str = "M90000001") -> str:
        return str(self.meter(meter)["communication_status"])


@pytest.fixture(params=["pipeline", "sql"])
def door(request: pytest.FixtureRequest, database: Database) -> Door:
    return Door(database, request.param)


@pytest.fixture
def grid(database: Database) -> Door:
    return Door(database, "pipeline")


def gasp(**changes: object) -> dict[str, Any]:
    return payload("onu_last_gasp.function") | changes


def restored(**changes: object) -> dict[str, Any]:
    return payload("onu_power_restored.function") | changes


def kaifa(name: str = "kaifa_power_outage", /, **changes: Any) -> dict[str, Any]:
    message = payload(f"{name}.function")
    message["payload"] |= changes
    return message


def with_header(message: dict[str, Any], **changes: object) -> dict[str, Any]:
    return message | {"header": message["header"] | changes}


def call(number: object = "M90000001", **changes: object) -> dict[str, Any]:
    message = payload("callcenter_ticket.function")
    message["customer"]["meterNumber"] = number
    return message | changes


# -- ONU


def test_w37_every_meter_of_the_onu_follows_it(door: Door) -> None:
    door.take("onu", gasp(associatedMeters=[]))
    assert door.off() == ["M90000001", "M90000003"]
    door.take("onu", restored(associatedMeters=[]))
    door.take("onu", gasp(eventId="late", timestamp="2025-10-01T08:03:00Z", associatedMeters=[]))
    assert door.off() == []


def test_w38_associated_meters_are_read(door: Door) -> None:
    door.take("onu", gasp(associatedMeters=["M90000002", {"meterNumber": "M90000004"}]))
    assert door.off() == ["M90000001", "M90000002", "M90000003", "M90000004"]


def test_w39_a_late_last_gasp_overwrites_nothing_newer(door: Door) -> None:
    door.take("onu", restored())
    door.take("onu", gasp())
    assert door.off() == []
    assert door.meter("M90000001")["last_power_change"] == "2025-10-01T08:31:45+00:00"


def test_w40_the_previous_status_is_what_stood(door: Door) -> None:
    door.take("onu", gasp())
    door.take("onu", gasp(eventId="again", timestamp="2025-10-01T08:05:00Z"))
    door.take("onu", restored())
    assert [row[:2] for row in door.audit("M90000001")] == [("unknown", "off"), ("off", "on")]


def test_w41_a_redelivery_is_no_error_and_events_of_one_millisecond_are_two(door: Door) -> None:
    assert all(door.take("onu", gasp(eventId="")) for _ in range(3))
    assert door.take("onu", gasp(eventId="", onuId=9100002, associatedMeters=["M90000004"]))
    assert (door.count("onu_events"), door.count("oms_topology.signal")) == (2, 2)
    assert door.off() == [*ON_THE_ONU, "M90000004"]


@pytest.mark.parametrize("serial", ["", "48575443AB12CD34"])
def test_w42_a_serial_that_is_empty_or_taken_loses_no_event(door: Door, serial: str) -> None:
    door.take("onu", gasp(onuSerial=serial))
    assert door.take(
        "onu", gasp(eventId="E2", onuId=9100002, onuSerial=serial, associatedMeters=["M90000004"])
    )
    assert door.off() == [*ON_THE_ONU, "M90000004"]
    assert door.rows("SELECT id FROM onus ORDER BY id") == [(9100001,), (9100002,)]


def test_w43_a_last_gasp_is_kept_as_evidence_and_opens_no_outage_by_itself(door: Door) -> None:
    """One ONU may be unplugged: which outage it belongs to is inferred over what is recorded here."""
    door.take("onu", gasp())
    door.take("scada", payload("scada_loss_of_voltage.function"))
    door.take("onu", restored())
    assert door.count("oms_outage_events") == 1
    assert door.rows("SELECT DISTINCT source, power_status FROM oms_topology.meter_report ORDER BY 2") == [
        ("onu", "off"),
        ("onu", "on"),
    ]


def test_w44_an_odd_onu_id_is_no_ground_and_other_types_refresh_what_they_say(door: Door) -> None:
    door.take("onu", restored())
    assert door.take("onu", gasp(eventId="E2", timestamp="2025-10-01T09:00:00Z", onuId="ONU-9100001"))
    assert "M90000001" in door.off()
    door.take("onu", gasp(eventId="E3", timestamp="2025-10-01T09:05:00Z", type="ONU_Online"))
    meter = door.meter("M90000001")
    assert (meter["communication_status"], meter["last_communication"]) == (
        "online",
        "2025-10-01T09:05:00+00:00",
    )
    assert meter["power_status"] == "off"


def test_w45_an_onu_of_which_nothing_is_known_is_not_powerless(door: Door) -> None:
    door.take("onu", gasp(type="ONU_HighTemperature"))
    assert door.rows("SELECT onu_power_flag FROM onus") == [(None,)]
    assert door.off() == []


# -- KAIFA


@pytest.mark.parametrize("severity", ["Critical", "critical", "High", "Low", ""])
def test_w46_severity_in_any_spelling_decides_nothing(door: Door, severity: str) -> None:
    door.take("kaifa", kaifa(severity=severity))
    assert door.off() == ["M90000001"]
    assert len(door.audit("M90000001")) == 1


def test_w47_a_meter_without_power_is_not_online(door: Door) -> None:
    door.take("kaifa", kaifa())
    assert door.link() == "offline"
    door.take("kaifa", kaifa("kaifa_power_restored.INFERRED"))
    assert door.link() == "online"


def test_w48_the_event_type_decides(door: Door) -> None:
    door.take("kaifa", kaifa("kaifa_power_restored.INFERRED", severity="Critical"))
    assert door.statuses()["M90000001"] == "on"
    door.take("kaifa", with_header(kaifa(event_type={"@ref": "9.9.9.9"}), message_id="unknown type"))
    assert door.statuses()["M90000001"] == "on"
    assert door.findings() == {"payload.event_type"}


@pytest.mark.parametrize("points", [("shared", "shared"), ("up_1", "up_2")])
def test_w49_an_event_is_booked_on_its_own_asset(door: Door, points: tuple[str, str]) -> None:
    for n, point in enumerate(points, 1):
        door.rows(
            "UPDATE oms_meters SET asset_mrid = %s, usage_point_mrid = %s WHERE meter_number = %s"
            " RETURNING 1",
            f"asset_{n}", point, f"M9000000{n}",
        )  # fmt: skip
    door.take("kaifa", kaifa(assets={"ns2:mRID": "asset_1"}, usage_point={"ns2:mRID": points[0]}))
    assert door.off() == ["M90000001"]


@pytest.mark.parametrize("column", ["asset_mrid", "usage_point_mrid", "upper(btrim(meter_number))"])
def test_w50_meters_are_found_by_index(grid: Door, column: str) -> None:
    grid.run(
        "INSERT INTO oms_meters (meter_number, asset_mrid, usage_point_mrid)"
        " SELECT 'N' || n, 'A' || n, 'P' || n FROM generate_series(1, 5000) n; ANALYZE oms_meters"
    )
    plan = grid.rows(f"EXPLAIN SELECT 1 FROM oms_meters WHERE {column} = 'A77'")
    assert "Index" in plan[0][0] or "Bitmap" in plan[0][0]
    assert not any("Seq Scan" in line for (line,) in plan)


@pytest.mark.parametrize("details", [{"ns2:name": "V", "ns2:value": "1"}, None, "", {"ns2:name": "V"}, []])
def test_w51_details_in_any_form_are_no_ground(door: Door, details: object) -> None:
    assert door.take("kaifa", kaifa(event_details=details))
    assert door.off() == ["M90000001"]
    named = isinstance(details, dict)
    assert door.count("kaifa_event_details") == (1 if named else 0)


def test_w52_empty_strings_are_nothing(door: Door) -> None:
    message = kaifa(issuer_id="", status="", names="")
    empty = dict.fromkeys(message["header"], "")
    assert door.take("kaifa", message | {"header": empty, "metadata": "", "timestamp": ""})
    assert door.rows("SELECT async_reply_flag, message_id FROM kaifa_event_headers") == [(None, None)]
    assert door.off() == ["M90000001"]


def test_w53_a_redelivery_is_one_event_and_events_without_an_id_are_two(door: Door) -> None:
    for event_id in ("e1", "e1", "e2"):
        assert door.take("kaifa", with_header(kaifa(event_id=event_id), message_id=""))
    assert door.count("kaifa_events") == 2
    for _ in range(2):
        assert door.take("kaifa", kaifa())
    assert door.count("kaifa_events") == 3


def test_w54_several_events_and_several_assets_lose_none(door: Door) -> None:
    message = kaifa()
    two = [{"ns2:mRID": "M90000001"}, {"ns2:mRID": "M90000002"}]
    message["payload"] = [
        message["payload"] | {"assets": two, "event_id": "one"},
        message["payload"] | {"assets": {"ns2:mRID": "M90000004"}, "event_id": "two"},
    ]
    assert door.take("kaifa", message)
    assert door.off() == ["M90000001", "M90000002", "M90000004"]
    assert (door.count("kaifa_events"), door.count("kaifa_event_assets")) == (2, 3)


@pytest.mark.parametrize("prefix", ["soapenv", "SOAP-ENV", "s"])
def test_w55_any_prefix_is_read(grid: Door, prefix: str) -> None:
    assert grid.take("kaifa", SOAP.replace("soap:", f"{prefix}:").replace("xmlns:soap=", f"xmlns:{prefix}="))
    assert grid.off() == ["M90000001"]


def test_w55_unprefixed_keys_are_read(door: Door) -> None:
    assert door.take("kaifa", kaifa(assets={"mRID": "M90000001"}, usage_point={"mRID": "up"}))
    assert door.off() == ["M90000001"]


def test_w56_the_devices_time_counts_and_naive_times_have_a_zone(door: Door) -> None:
    door.run("UPDATE oms_topology.source_setting SET time_zone = 'Asia/Amman' WHERE source = 'kaifa'")
    message = kaifa(created_date_time="2025-10-01T11:00:00")  # eight o'clock in UTC
    door.take("kaifa", message | {"timestamp": "2025-10-01T13:00:00"})
    assert door.meter("M90000001")["last_power_change"] == "2025-10-01T08:00:00+00:00"
    assert door.one("SELECT event_timestamp::text FROM kaifa_events") == "2025-10-01 08:00:00+00"


def test_w57_each_asset_is_linked_to_its_own_meter(door: Door) -> None:
    door.take(
        "kaifa", kaifa(assets=[{"mRID": "M90000001"}, {"mRID": "M90000002"}], usage_point={"mRID": "up"})
    )
    assert door.rows(
        "SELECT a.mrid, m.meter_number"
        " FROM kaifa_event_assets a JOIN oms_meters m ON m.id = a.meter_id ORDER BY 1"
    ) == [("M90000001", "M90000001"), ("M90000002", "M90000002")]
    assert door.rows("SELECT meter_id FROM kaifa_event_usage_points") == [(None,)]


def test_w58_old_events_go_by_their_time_and_take_what_hangs_on_them(door: Door) -> None:
    """The deployed partitions stay as they are; a month goes with one DELETE that finds its rows by index."""
    door.take("kaifa", kaifa())
    later = kaifa("kaifa_power_restored.INFERRED", created_date_time="2025-11-01T08:00:00Z")
    door.take("kaifa", with_header(later, timestamp="2025-11-01T08:00:00Z"))
    door.run("DELETE FROM kaifa_events WHERE event_timestamp < '2025-10-15'")
    assert (door.count("kaifa_events"), door.count("kaifa_event_assets")) == (1, 1)
    assert door.statuses()["M90000001"] == "on"
    assert door.count("oms_topology.signal") == 2


# -- the call center


def test_w59_colliding_intake_ids_lose_no_ticket(door: Door) -> None:
    for n in range(30):
        assert door.take("call_center", call(ticketId=f"TC_{n}"))
    assert door.count("callcenter_tickets") == 30


def test_w60_the_same_ticket_twice_is_one(door: Door) -> None:
    for form in ("callcenter_ticket.function", "callcenter_intake.kafka", "callcenter_ticket.function"):
        assert door.take("call_center", payload(form))
    assert (door.count("callcenter_tickets"), door.count("callcenter_customers")) == (1, 1)


def test_w61_notes_are_kept_wherever_they_stand(door: Door) -> None:
    message = call(notes="Beside the customer")
    message["customer"].pop("notes", None)
    door.take("call_center", message)
    assert door.one("SELECT notes FROM callcenter_customers") == "Beside the customer"


def test_w62_a_call_is_evidence_and_the_audit_claims_nothing_of_it(door: Door) -> None:
    door.take("call_center", call())
    assert door.off() == []
    assert door.count("oms_meter_status_events") == 0
    assert door.rows("SELECT source, power_status FROM oms_topology.signal") == [("call_center", "off")]


@pytest.mark.parametrize("number", [" m90000001 ", "M-9000-0001", "M9000000\u0661\u200b"])
def test_w63_an_untidy_number_is_linked(door: Door, number: str) -> None:
    door.take("call_center", call(number))
    assert door.rows(
        "SELECT m.meter_number FROM callcenter_customers c JOIN oms_meters m ON m.id = c.meter_id"
    ) == [("M90000001",)]


def test_w63_an_unknown_number_is_registered_at_once(door: Door) -> None:
    door.take("call_center", call("K-404"))
    assert door.statuses()["K-404"] == "unknown"
    assert door.count("oms_topology.provisional_meter") == 1


def test_w64_personal_data_stays_with_the_call_center(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    message = call()
    phone, address = message["customer"]["phone"], message["customer"]["address"]
    with caplog.at_level("DEBUG"):
        door.take("call_center", message)
    elsewhere = door.rows(
        "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname IN ('public', 'oms_topology') AND c.relkind = 'r'"
        " AND c.relname NOT LIKE 'callcenter%%'"
    )
    told = "".join(str(door.rows(f"SELECT t::text FROM ONLY {table} t")) for (table,) in elsewhere)
    for secret in (phone, address):
        assert secret not in told
        assert secret not in caplog.text


def test_w65_a_ticket_advances_and_never_goes_back(door: Door) -> None:
    for minute, status in enumerate(("Crew Assigned", "Restored", "Registered")):
        door.take("call_center", call(status=status, timestamp=f"2025-10-01T08:0{minute}:00Z"))
    assert door.rows("SELECT status FROM callcenter_tickets") == [("Restored",)]
    assert door.count("callcenter_ticket_status_history") == 2


def test_w66_a_ticket_outlives_the_process_and_no_timer_restores_it(door: Door) -> None:
    """The caller's answer is the intake service's own; what it may ask is here, and waits for a message."""
    door.take("call_center", call(timestamp="2025-10-01T00:00:00Z"))
    with Pipeline(door.database) as another:
        assert another.handle("call_center", json.dumps(call(timestamp="2025-10-01T00:00:00Z"))).duplicate
    assert door.rows("SELECT status FROM callcenter_tickets") == [("Registered",)]


def test_w67_success_is_told_only_of_what_is_recorded(grid: Door) -> None:
    """The gateway's swallowed error is its own; at our door nothing is said before the commit."""
    grid.run("ALTER TABLE callcenter_tickets ADD CONSTRAINT refuse CHECK (false) NOT VALID")
    assert not grid.take("call_center", call())
    assert grid.dead_letters() == [("call_center", "payload")]
    grid.run("ALTER TABLE callcenter_tickets DROP CONSTRAINT refuse")
    with Pipeline(grid.database) as pipeline:
        assert pipeline.replay(grid.one("SELECT dead_letter_no FROM oms_topology.dead_letter")).accepted
    assert grid.count("callcenter_tickets") == 1


def test_w68_callers_are_linked_in_one_statement_by_index(grid: Door) -> None:
    grid.run(
        "INSERT INTO callcenter_tickets (external_ticket_id, intake_timestamp) VALUES ('T', now());"
        " INSERT INTO callcenter_customers (ticket_id, meter_number)"
        " SELECT t.id, ' m9000000' || n FROM callcenter_tickets t, generate_series(1, 9) n"
    )
    assert grid.rows("SELECT * FROM sync_callcenter_tickets_to_meters()") == [(9, 5, 4)]


# -- update_meter_status


@pytest.mark.parametrize("status", ["banana", "offline", "", None])
def test_w111_an_illegal_power_status_is_refused_and_kept(grid: Door, status: str | None) -> None:
    asked = ("M90000001", status, "power_off", "onu", "E1", "2025-10-01T08:00:00Z")
    assert grid.one(UPDATE, *asked) is None
    assert grid.dead_letters() == [("onu", "new_status")]
    with pytest.raises(DBAPIError):
        grid.run("UPDATE oms_meters SET power_status = 'banana'")
    assert set(grid.statuses().values()) == {"unknown"}


def test_w112_stale_reports_overwrite_nothing_and_many_at_once_agree(grid: Door) -> None:
    def report(minute: int) -> Any:
        status, kind = (("off", "power_off"), ("on", "power_on"))[minute % 2]
        return grid.one(
            UPDATE, "M90000001", status, kind, "onu", f"E{minute}", f"2025-10-01T08:{minute:02}:00Z"
        )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(report, [7, 3, 11, 0, 8, 5, 1, 10, 2, 9, 4, 6]))
    meter = grid.meter("M90000001")
    assert (meter["power_status"], meter["last_power_change"]) == ("on", "2025-10-01T08:11:00+00:00")
    history = grid.rows(
        "SELECT h.previous_status, h.new_status FROM oms_topology.meter_power_history h"
        " ORDER BY h.event_timestamp"
    )
    assert [new for _, new in history] == ["off", "on"] * 6
    assert [before for before, _ in history[1:]] == [new for _, new in history[:-1]]


def test_w113_communication_can_be_set_and_confidence_follows_the_source(grid: Door) -> None:
    asked = ("M90000001", "offline", "communication_lost", "kaifa", "E1", "2025-10-01T08:00:00Z")
    grid.one(UPDATE, *asked)
    assert grid.link() == "offline"
    grid.one(UPDATE, "M90000001", "off", "power_off", "kaifa", "E2", "2025-10-01T08:01:00Z")
    assert grid.rows("SELECT confidence_score::text FROM oms_meter_status_events") == [("0.90",)]


def test_w113_an_unknown_meter_costs_a_batch_nothing_where_the_caller_guards_it(grid: Door) -> None:
    """The text of the error is the contract's: within a savepoint it loses that one call."""
    report = text("SELECT update_meter_status(:number, 'off', 'power_off', 'onu', :number)")
    with grid.engine.begin() as connection:
        connection.execute(report, {"number": "M90000001"})
        with pytest.raises(DBAPIError, match="Meter not found: M404"), connection.begin_nested():
            connection.execute(report, {"number": "M404"})
        connection.execute(report, {"number": "M90000002"})
    assert grid.off() == ["M90000001", "M90000002"]


# -- the consumers


def place(offset: int) -> StreamPosition:
    return StreamPosition("onu-consumer-group", "onu-events-topic", 0, offset)


def consumed(grid: Door, payloads: Sequence[bytes], source: str = "onu") -> tuple[ListSource, Event, Thread]:
    stream, stop = ListSource(source, payloads), Event()
    loop = ConsumerLoop(
        stream, BatchWriter(grid.database), ConsumerMetrics().of(source), stop, batch_messages=2
    )
    thread = Thread(target=loop.run)
    thread.start()
    return stream, stop, thread


def test_w118_no_offset_is_recorded_without_its_effects(grid: Door) -> None:
    grid.run("ALTER TABLE oms_topology.stream_position ADD CONSTRAINT refuse CHECK (false) NOT VALID")
    with Pipeline(grid.database) as pipeline:
        with pytest.raises(StoreError):
            pipeline.handle_batch([("onu", json.dumps(gasp()))], positions=(place(1),))
        assert (grid.off(), positions_of(grid.engine, "onu-consumer-group", "onu-events-topic")) == ([], ())
        grid.run("ALTER TABLE oms_topology.stream_position DROP CONSTRAINT refuse")
        (receipt,) = pipeline.handle_batch([("onu", json.dumps(gasp()))], positions=(place(1),))
    assert not receipt.duplicate
    assert grid.off() == ON_THE_ONU
    assert positions_of(grid.engine, "onu-consumer-group", "onu-events-topic") == (place(1),)


def test_w119_a_group_that_was_never_there_begins_at_the_beginning(grid: Door) -> None:
    """Where Kafka keeps offsets: tests/service/consumers/test_kafka_source.py, against a real broker."""
    assert positions_of(grid.engine, "new-group", "onu-events-topic") == ()
    stream, stop, thread = consumed(grid, [json.dumps(gasp()).encode(), json.dumps(restored()).encode()])
    wait_until(lambda: stream.acknowledged == 2)
    stop.set()
    thread.join(30)
    assert [row[:2] for row in grid.audit("M90000001")] == [("unknown", "off"), ("off", "on")]


def test_w120_one_bad_byte_loses_one_message_and_the_loop_goes_on(grid: Door) -> None:
    bad = [b"\xff\xfe{", b"{", b"[]", b"\x00"]
    stream, stop, thread = consumed(grid, [*bad, json.dumps(gasp()).encode()])
    wait_until(lambda: stream.acknowledged == 5)
    stop.set()
    thread.join(30)
    assert grid.off() == ON_THE_ONU
    kept = grid.rows("SELECT payload FROM oms_topology.dead_letter ORDER BY dead_letter_no")
    assert sorted(bytes(raw) for (raw,) in kept) == sorted(bad)


def test_w121_a_signal_ends_the_loop_after_the_batch_in_hand(grid: Door) -> None:
    stream, stop, thread = consumed(grid, [json.dumps(gasp(eventId=f"E{n}")).encode() for n in range(40)])
    wait_until(lambda: stream.acknowledged > 0)
    stop.set()
    thread.join(30)
    assert not thread.is_alive()
    assert stream.asked == ["close"]
    assert grid.count("oms_topology.signal") == stream.acknowledged
    (position,) = positions_of(grid.engine, "group", "topic")
    assert position.next_offset == stream.acknowledged


def test_w122_and_w123_intake_calls_nobody_and_what_is_refused_has_no_effects(grid: Door) -> None:
    """There is no HTTP call to be slow or to fail: inference reads what was committed, and only that."""
    grid.run(
        "ALTER TABLE onu_events ADD CONSTRAINT refuse CHECK (event_type <> 'ONU_LastGaspAlert') NOT VALID"
    )
    with Pipeline(grid.database) as pipeline:
        told = pipeline.handle_batch([("onu", json.dumps(gasp())), ("onu", json.dumps(restored()))])
    assert [receipt.accepted for receipt in told] == [False, True]
    assert grid.rows("SELECT DISTINCT power_status FROM oms_topology.meter_report") == [("on",)]
    assert [row[:2] for row in grid.audit("M90000001")] == [("unknown", "on")]


def test_w124_a_broken_connection_is_replaced(grid: Door) -> None:
    with Pipeline(grid.database) as pipeline:
        assert pipeline.handle("onu", json.dumps(gasp())).accepted
        grid.one(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        message = json.dumps(restored())
        with pytest.raises(StoreUnavailableError) as lost:
            pipeline.handle("onu", message)
        assert lost.value.is_transient
        receipt = pipeline.handle("onu", message)
    assert receipt.accepted
    assert grid.off() == []


def test_w125_messages_from_three_partitions_in_any_order_mean_the_same(grid: Door) -> None:
    messages = [gasp(), restored(), gasp(eventId="g2", timestamp="2025-10-01T08:40:00Z")]
    for order in ((2, 0, 1), (1, 2, 0)):
        with Pipeline(grid.database) as pipeline:
            for number in order:
                pipeline.handle_batch(
                    [("onu", json.dumps(messages[number]))],
                    positions=(StreamPosition("g", "onu-events-topic", number, 1),),
                )
        assert grid.off() == ON_THE_ONU
        assert grid.meter("M90000001")["last_power_change"] == "2025-10-01T08:40:00+00:00"
    assert len(positions_of(grid.engine, "g", "onu-events-topic")) == 3
