"""What the worker of inferred outages makes of what was recorded, on the real database."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from oms_topology import Pipeline, Topology
from oms_topology.persistence.records import outage_detail, outage_rows
from oms_topology.service.outage_worker import OutageWorker
from tests.acceptance.scada_grid import Grid, at, event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from oms_topology.persistence.database import Database

TOWN = """
SS1 > F1; F1 >SW1> DP1 > M1..M9; F1 >SW2> DP2 > M10..M19
SS1 > F2; F2 > DP3 > M20..M29
SS2 > F3; F3 > DP4 > M30..M39; F3 > DP5 > M40..M45
"""
OUTAGES = """
    SELECT COALESCE(d.code, m.meter_number) AS code, e.status, e.event_type, e.first_detected_at,
           e.actual_restoration_time, e.affected_customers_count, o.origin
    FROM oms_outage_events e
    JOIN oms_topology.outage_device o ON o.outage_event_id = e.id
    LEFT JOIN oms_topology.device d ON d.device_no = o.device_no
    LEFT JOIN oms_meters m ON m.meter_no = o.meter_no
    ORDER BY e.first_detected_at, d.depth NULLS LAST, 1
"""


class Town(Grid):
    """The town, with a pipeline and a worker whose clock the test holds."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, TOWN)
        self.now = at(60)
        self.pipeline = Pipeline(database)
        self.worker = self.new_worker()

    def new_worker(self) -> OutageWorker:
        return OutageWorker(self.database, clock=lambda: self.now)

    def gasp(self, meter: str, minute: float, *, back: bool = False) -> None:
        kind = "ONU_PowerRestored" if back else "ONU_LastGaspAlert"
        said = {
            "eventId": f"{kind} {meter} {minute}", "onuId": int(meter[1:]), "type": kind,
            "timestamp": stamp(at(minute)), "associatedMeters": [meter],
        }  # fmt: skip
        assert self.pipeline.handle("onu", said).accepted

    def call(self, meter: str, minute: float) -> None:
        said = {
            "ticketId": f"TC {meter} {minute}",
            "timestamp": stamp(at(minute)),
            "customer": {"meterNumber": meter},
        }
        assert self.pipeline.handle("call_center", said).accepted

    def outages(self) -> list[tuple[Any, ...]]:
        self.worker.drain()
        return self.rows(OUTAGES)

    def waiting(self) -> int:
        found: int = self.value("SELECT count(*) FROM oms_topology.inference_work")
        return found

    def close(self) -> None:
        self.worker.close()
        self.pipeline.close()


def stamp(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


@pytest.fixture
def town(database: Database) -> Iterator[Town]:
    made = Town(database)
    yield made
    made.close()


def lose_dp1(town: Town, minute: float = 2) -> None:
    for meter in ("M1", "M3", "M4", "M8"):
        town.gasp(meter, minute)


def test_gasps_below_one_point_are_one_outage_with_its_sources(town: Town) -> None:
    lose_dp1(town)
    town.call("M2", 5)
    assert town.outages() == [("DP1", "detected", "outage", at(2), None, 9, "inference")]
    assert town.rows(
        "SELECT source_type, source_table, count(*), min(correlation_weight) > 1 FROM oms_event_sources"
        " GROUP BY 1, 2 ORDER BY 1"
    ) == [("call_center", "callcenter_tickets", 1, True), ("onu", "onu_events", 4, True)]
    (row,) = town.rows(
        "SELECT e.confidence_score, trunc(i.posterior::numeric, 2), i.reasons, e.description,"
        " s.substation_id, f.feeder_id, p.dp_id FROM oms_outage_events e"
        " JOIN oms_topology.outage_inference i ON i.outage_event_id = e.id"
        " JOIN network_substations s ON s.id = e.substation_id JOIN network_feeders f ON f.id = e.feeder_id"
        " JOIN network_distribution_points p ON p.id = e.dp_id"
    )
    assert row[0] == row[1] > 0.9
    assert row[3] == " ".join(row[2])
    assert row[4:] == ("SS1", "F1", "DP1")
    assert town.waiting() == 0
    assert town.worker.drain() == 0


def test_no_meter_changes_status_by_inference(town: Town) -> None:
    lose_dp1(town)
    before = town.power()
    town.worker.drain()
    assert town.power() == before
    assert before["M2"] == "unknown"


def test_the_word_of_the_feeder_absorbs_the_point_and_both_are_linked(town: Town) -> None:
    lose_dp1(town)
    town.worker.drain()
    lower = town.value("SELECT id FROM oms_outage_events")
    town.through_sql(event(feeder="F1", minute=2.5))
    assert town.outages() == [("F1", "detected", "outage", at(2.5), None, 19, "device")]
    assert town.rows(
        "SELECT r.outage_event_id = :lower, e.id = r.superseded_by, r.outage ->> 'root_cause' LIKE '%DP1%'"
        " FROM oms_topology.outage_revision r, oms_outage_events e", lower=lower,
    ) == [(True, True, True)]  # fmt: skip
    assert town.column("SELECT event_type FROM oms_event_timeline WHERE source = 'inference' ORDER BY 1") == [
        "merged",
        "revised",
    ]


def test_a_restored_feeder_is_cleared_by_its_meters_and_leaves_a_nested_outage(town: Town) -> None:
    town.through_sql(event(feeder="F1", minute=2))
    below_dp1 = [f"M{number}" for number in range(1, 9)]
    for meter in (*below_dp1, "M10", "M11", "M12"):
        town.gasp(meter, 2.1)
    assert [row[0] for row in town.outages()] == ["F1"]
    town.through_sql(event(feeder="F1", alarm="Energized", minute=30))
    for meter in ("M10", "M11", "M12"):
        town.gasp(meter, 31, back=True)
    town.now = at(120)
    found = town.outages()
    assert found[0][:5] == ("F1", "restored", "outage", at(2), at(30))
    assert found[1][:4] == ("DP1", "detected", "outage", at(2))
    assert town.rows(
        "SELECT u.event_id = (SELECT event_id FROM oms_outage_events WHERE status = 'restored')"
        " FROM oms_topology.outage_inference i JOIN oms_outage_events u ON u.id = i.surfaced_from"
    ) == [(True,)]
    for meter in below_dp1:
        town.gasp(meter, 90, back=True)
    assert [row[:2] for row in town.outages()] == [("F1", "cleared"), ("DP1", "cleared")]


def test_a_late_report_of_a_device_never_withdraws_what_others_said(town: Town) -> None:
    lose_dp1(town)
    town.worker.drain()
    town.through_sql(event(feeder="F1", alarm="Energized", minute=-100))
    town.through_sql(event(feeder="F1", minute=-200))
    assert town.value(
        "SELECT count(*) FROM oms_topology.outage_device o"
        " JOIN oms_topology.device d ON d.device_no = o.device_no"
        " WHERE d.code = 'DP1' AND o.origin = 'inference'"
    ) == 1  # fmt: skip
    assert [row[:5] for row in town.outages()] == [
        ("F1", "restored", "outage", at(-200), at(-100)),
        ("DP1", "detected", "outage", at(2), None),
    ]


def test_late_signals_reopen_what_was_closed(town: Town) -> None:
    lose_dp1(town)
    for meter in ("M1", "M3", "M4"):
        town.gasp(meter, 40, back=True)
    assert town.outages()[0][:5] == ("DP1", "restored", "outage", at(2), at(40))
    for meter in ("M1", "M3", "M4"):
        town.gasp(meter, 41)
    standing = [row for row in town.outages() if row[4] is None]
    assert ("DP1", "detected") in [row[:2] for row in standing]


def test_a_momentary_interruption_stays_as_a_closed_row(town: Town) -> None:
    lose_dp1(town)
    for meter in ("M1", "M3", "M4", "M8"):
        town.gasp(meter, 4, back=True)
    assert [row[:5] for row in town.outages()] == [
        ("DP1", "cleared", "momentary_interruption", at(2), at(4)),
    ]


def test_what_people_set_is_kept(town: Town) -> None:
    lose_dp1(town)
    town.worker.drain()
    town.rows("UPDATE oms_outage_events SET status = 'in_progress'")
    town.gasp("M5", 3)
    assert town.outages()[0][1] == "in_progress"
    for meter in ("M1", "M3", "M4", "M5", "M8"):
        town.gasp(meter, 30, back=True)
    assert town.outages()[0][1] == "cleared"


def test_a_cancelled_outage_stays_so(town: Town) -> None:
    lose_dp1(town)
    town.worker.drain()
    town.rows("UPDATE oms_outage_events SET status = 'cancelled'")
    town.gasp("M5", 3)
    assert [row[:2] for row in town.outages()] == [("DP1", "cancelled")]


def test_correlated_reports_join_the_inferred_outage_and_do_not_change_its_confidence(town: Town) -> None:
    lose_dp1(town)
    town.worker.drain()
    before = town.rows("SELECT id, confidence_score FROM oms_outage_events")
    town.call("M2", 4)
    ticket = town.value("SELECT id::text FROM callcenter_tickets")
    joined = town.value(
        "SELECT oms_correlate_events('outage', 'call_center', :ticket, :at, NULL, NULL)",
        ticket=ticket,
        at=at(4),
    )
    assert (
        [(joined, before[0][1])] == before == town.rows("SELECT id, confidence_score FROM oms_outage_events")
    )


def test_an_outage_opened_by_place_becomes_the_inferred_one(town: Town) -> None:
    town.call("M2", 4)
    ticket = town.value("SELECT id::text FROM callcenter_tickets")
    by_place = town.value(
        "SELECT oms_correlate_events('outage', 'call_center', :ticket, :at, NULL, NULL)",
        ticket=ticket,
        at=at(4),
    )
    lose_dp1(town)
    assert [row[0] for row in town.outages()] == ["DP1"]
    assert town.column("SELECT id FROM oms_outage_events") == [by_place]


def test_what_waits_for_the_clock_is_judged_when_it_is_due(town: Town) -> None:
    town.now = at(2.2)
    for meter in ("M1", "M3", "M4"):
        town.gasp(meter, 2)
    town.worker.drain()
    due = town.value("SELECT min(due_at) FROM oms_topology.inference_due")
    assert at(2.2) < due <= at(5)
    early = town.value("SELECT posterior FROM oms_topology.outage_inference")
    town.now = due + timedelta(seconds=1)
    assert town.worker.drain() == 1
    assert town.value("SELECT posterior FROM oms_topology.outage_inference") != early


def test_two_workers_share_the_work_and_leave_the_same(town: Town) -> None:
    lose_dp1(town)
    for meter in ("M30", "M31", "M32", "M33", "M34"):
        town.gasp(meter, 3)
    workers = [town.new_worker() for _ in range(2)]
    threads = [Thread(target=worker.drain) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for worker in workers:
        worker.close()
    assert [row[0] for row in town.outages()] == ["DP1", "DP4"]
    assert town.waiting() == 0


def test_the_loop_is_woken_by_what_is_recorded(town: Town) -> None:
    stop, worker = Event(), town.new_worker()
    thread = Thread(target=worker.run, args=(stop,))
    thread.start()
    try:
        lose_dp1(town)
        for _ in range(500):
            if town.waiting() == 0 and town.value("SELECT count(*) FROM oms_outage_events"):
                break
            stop.wait(0.02)
        assert town.rows(OUTAGES)[0][0] == "DP1"
    finally:
        stop.set()
        thread.join(20)
        worker.close()
    assert not thread.is_alive()


def test_a_worker_that_waits_for_the_network_keeps_nobody_else_waiting(town: Town) -> None:
    lose_dp1(town)
    working = Thread(target=town.worker.drain)
    with town.database.engine.connect() as other:
        # As an upgrade does it: first nobody else numbers the network, then nobody else has the work.
        other.execute(text("SELECT pg_advisory_xact_lock(hashtext('oms_topology.topology'))"))
        working.start()
        waits_by = time.monotonic() + 30
        while not town.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
            assert time.monotonic() < waits_by
            time.sleep(0.01)
        other.execute(text("SET LOCAL lock_timeout = '5s'"))
        other.execute(text("LOCK TABLE oms_topology.inference_due IN ACCESS EXCLUSIVE MODE"))
        other.rollback()
    working.join(30)
    assert not working.is_alive()
    assert [row[0] for row in town.outages()] == ["DP1"]


def test_both_doors_and_any_order_end_in_the_same_outages(database_factory: Any) -> None:
    said = [
        ("scada", event(feeder="F1", minute=2)),
        ("onu", {"eventId": "1", "onuId": 1, "type": "ONU_LastGaspAlert", "timestamp": stamp(at(2.1)),
                 "associatedMeters": [f"M{n}" for n in (1, 2, 3, 4, 5, 6, 7, 8, 11)]}),
        ("scada", event(feeder="F1", alarm="Energized", minute=40)),
        ("onu", {"eventId": "2", "onuId": 2, "type": "ONU_PowerRestored", "timestamp": stamp(at(41)),
                 "associatedMeters": ["M11"]}),
    ]  # fmt: skip
    ends = []
    for order, by_sql in (((0, 1, 2, 3), False), ((3, 1, 2, 0), True), ((2, 0, 3, 1), False)):
        town = Town(database_factory(upgraded=True))
        for place in order:
            source, payload = said[place]
            if by_sql and source == "scada":
                town.through_sql(payload)
            elif by_sql:
                town.rows(
                    "SELECT insert_onu_event_from_json_with_meter_sync(CAST(:m AS jsonb))",
                    m=json.dumps(payload),
                )
            else:
                town.pipeline.handle(source, payload)
            town.worker.drain()
        ends.append((town.outages(), town.rows(
            "SELECT e.event_id, e.severity, e.description, e.confidence_score, g.source,"
            " g.source_event_id, s.correlation_weight FROM oms_event_sources s"
            " JOIN oms_outage_events e ON e.id = s.outage_event_id"
            " JOIN oms_topology.signal g ON s.source_event_id IN (g.record_id, g.source_event_id)"
            " ORDER BY 1, 5, 6"
        )))  # fmt: skip
        town.close()
    assert ends[0] == ends[1] == ends[2]
    assert [row[0] for row in ends[0][0]] == ["F1", "DP1"]


def test_a_storm_changes_the_pace_and_nothing_that_is_concluded(
    database_factory: Callable[..., Database],
) -> None:
    ends = []
    for is_storm in (False, True):
        town = Town(database_factory(upgraded=True))
        stop = Event()
        if is_storm:
            town.rows(
                "UPDATE oms_storm_mode_config SET is_active = true, activated_at = :since", since=at(59)
            )
            worker = Thread(target=town.worker.run, args=(stop,))
            worker.start()
        for number in range(10, 20):
            town.gasp(f"M{number}", 3)
        lose_dp1(town)
        town.call("M2", 5)
        town.gasp("M3", 20, back=True)
        if is_storm:
            while town.value("SELECT count(*) FROM oms_topology.inference_work") or town.value(
                "SELECT count(*) FROM oms_topology.inference_due WHERE due_at <= :now", now=town.now
            ):
                stop.wait(0.05)
            stop.set()
            worker.join()
        ends.append(town.outages())
        town.close()
    assert ends[0] == ends[1] != []


def test_a_meter_out_alone_is_named_shown_and_led_by_people_like_any_device(town: Town) -> None:
    town.rows("INSERT INTO oms_customers (customer_id, phone, address) VALUES ('C7', '1', 'Street')")
    town.rows("UPDATE oms_meters SET customer_id = (SELECT id FROM oms_customers) WHERE meter_number = 'M7'")
    town.rows(
        "UPDATE network_substation_meters SET priority = 1"
        " WHERE meter_id = (SELECT id FROM oms_meters WHERE meter_number = 'M7')"
    )
    for number in range(1, 46):
        if number != 7:
            town.gasp(f"M{number}", 1.5, back=True)
    town.gasp("M7", 2)
    town.call("M7", 4)
    assert [row[:2] for row in town.outages()] == [("M7", "detected")]
    (listed,) = outage_rows(town.database.engine)
    assert (listed.device_kind, listed.device_code, listed.dark_meters) == ("meter", "M7", 1)
    assert (listed.critical_meters, listed.affected_customers) == (1, 1)
    detail = outage_detail(town.database.engine, listed.event_id)
    assert [(meter.meter_number, meter.customer_id) for meter in detail.dark] == [("M7", "C7")]
    assert town.column(
        "SELECT meter_number FROM oms_topology.still_dark(:id)", id=listed.outage_event_id
    ) == ["M7"]
    desk = town.database.operator("anna")
    desk.confirm(listed.event_id)
    desk.assign(listed.event_id, crew_id="K1", assignment_type="repair")
    town.gasp("M7", 30, back=True)
    assert [row[1] for row in town.outages()] == ["cleared"]
    assert town.column("SELECT kind FROM oms_topology.outage_blame") == ["meter"]
    assert town.column("SELECT status FROM oms_crew_assignments") == ["completed"]


def test_what_meters_verify_days_later_is_cleared_and_what_nobody_verifies_is_not(town: Town) -> None:
    day = 24 * 60
    for feeder in ("F1", "F3"):
        town.through_sql(event(feeder=feeder, minute=2))
        town.through_sql(event(feeder=feeder, alarm="Energized", minute=30))
    town.worker.drain()
    town.now = at(2 * day)  # by now nothing is waited for
    assert [row[:2] for row in town.outages()] == [("F1", "restored"), ("F3", "restored")]
    town.now = at(4 * day)
    town.gasp("M3", 3 * day, back=True)
    assert [row[:2] for row in town.outages()] == [("F1", "cleared"), ("F3", "restored")]
    assert town.rows(
        "SELECT description, \"timestamp\" FROM oms_event_timeline WHERE event_type = 'cleared'"
    ) == [("Every meter that lost supply has been heard again.", at(3 * day))]
    assert town.rows(OUTAGES) == town.outages()


def test_what_a_plan_hid_stands_for_itself_once_the_plan_is_over(town: Town) -> None:
    town.database.operator("anna").plan("F1", at(0), at(60))
    town.through_sql(event(feeder="F1", minute=1))
    for number in range(1, 20):
        town.gasp(f"M{number}", 1.1)
    town.now = at(30)
    assert [row[:3] for row in town.outages()] == [("F1", "detected", "planned_outage")]
    town.through_sql(event(feeder="F1", alarm="Energized", minute=59))
    for number in range(10, 20):
        town.gasp(f"M{number}", 59.5, back=True)
    town.now = at(61)
    assert [row[:3] for row in town.outages()] == [("F1", "restored", "planned_outage")]
    town.now = at(75)  # nothing more is said
    assert [row[:3] for row in town.outages()] == [
        ("F1", "restored", "planned_outage"),
        ("DP1", "detected", "outage"),
    ]


def test_a_plan_that_is_made_or_withdrawn_afterwards_counts_as_if_it_had_been_there(town: Town) -> None:
    desk = town.database.operator("anna")
    lose_dp1(town)
    town.now = at(30)
    found = town.outages()
    assert [row[:3] for row in found] == [("DP1", "detected", "outage")]
    plan = desk.plan("DP1", at(0), at(60))
    assert town.outages() == []
    assert desk.withdraw_plan(plan.planned_no)
    assert [row[:4] for row in town.outages()] == [row[:4] for row in found]


def test_a_change_of_the_network_moves_the_blame_though_nothing_more_is_said(town: Town) -> None:
    lose_dp1(town)
    town.now = at(30)
    assert [row[0] for row in town.outages()] == ["DP1"]
    town.rows(
        "UPDATE oms_meters SET dp_id = (SELECT id FROM network_distribution_points WHERE dp_id = 'DP5'),"
        " feeder_id = (SELECT id FROM network_feeders WHERE feeder_id = 'F3')"
        " WHERE meter_number IN ('M1', 'M3', 'M4', 'M8')"
    )
    town.rows("SELECT oms_topology.settle()")
    found = town.outages()
    assert "DP1" not in [row[0] for row in found]
    assert found[0][0] == "DP5"
    town.rows(
        "INSERT INTO oms_topology.inference_due (segment_no, first_at, due_at)"
        " SELECT device_no, :at, '-infinity' FROM oms_topology.device WHERE is_source", at=at(0),
    )  # fmt: skip
    assert town.outages() == found


def move_dp2_to_f2(town: Town, minute: float, feeder: str = "F2") -> None:
    """Give a distribution point another feeder at that minute, as if the network had stood long before."""
    town.rows("SELECT oms_topology.settle()")
    town.rows("UPDATE oms_topology.topology_change SET changed_at = :at", at=at(-6000))
    town.database.store_network(Topology.from_text(TOWN.replace("F1 >SW2> DP2", f"{feeder} >SW2> DP2")))
    town.rows("SELECT oms_topology.settle()")
    assert feeder in Topology.from_postgres(town.database).upstream("DP2")
    town.rows(
        "UPDATE oms_topology.topology_change SET changed_at = :at WHERE changed_at > :then",
        at=at(minute), then=at(-6000),
    )  # fmt: skip


def lose_f1(town: Town) -> None:
    for meter in (1, 2, 3, 5, 6, 8, 9, 10, 11, 13, 14, 15, 17, 18):
        town.gasp(f"M{meter}", 2)


@pytest.mark.parametrize("feeder", ["F2", "F3"])
def test_late_reports_are_judged_on_the_network_of_their_time(town: Town, feeder: str) -> None:
    move_dp2_to_f2(town, 30, feeder)
    lose_f1(town)
    for meter in range(1, 20):
        town.gasp(f"M{meter}", 20, back=True)
    found = town.outages()
    assert [row[:3] for row in found] == [("F1", "cleared", "outage")]
    assert found[0][3:6] == (at(2), at(20), 19)
    assert town.waiting() == 0
    town.rows(
        "INSERT INTO oms_topology.inference_due (segment_no, first_at, due_at)"
        " SELECT device_no, :at, '-infinity' FROM oms_topology.device WHERE is_source", at=at(0),
    )  # fmt: skip
    assert town.outages() == found


@pytest.mark.parametrize("feeder", ["F2", "F3"])
def test_what_gets_another_feed_has_supply_again_and_its_outage_goes_on(town: Town, feeder: str) -> None:
    lose_f1(town)
    town.now = at(25)
    assert [row[:6] for row in town.outages()] == [("F1", "detected", "outage", at(2), None, 19)]
    move_dp2_to_f2(town, 30, feeder)
    for meter in range(10, 19):
        town.gasp(f"M{meter}", 31, back=True)
    town.now = at(60)
    assert [row[:6] for row in town.outages()] == [("F1", "detected", "outage", at(2), None, 19)]
    ((dark, steps),) = town.rows(
        "SELECT still_dark_meters, restoration_steps FROM oms_topology.outage_inference"
    )
    assert sorted(dark) == ["M1", "M2", "M3", "M5", "M6", "M8", "M9"]
    assert steps[-1]["meters"] == 9


def test_a_switch_that_crews_open_does_not_end_the_outage_behind_it(town: Town) -> None:
    lose_dp1(town)
    town.now = at(25)
    found = town.outages()
    assert [row[0] for row in found] == ["DP1"]
    town.rows("UPDATE oms_topology.branch SET is_open = true WHERE code = 'SW1'")
    town.rows("SELECT oms_topology.settle()")
    town.call("M2", 20)
    assert [row[:6] for row in town.outages()] == [row[:6] for row in found]


def test_two_workers_judge_trees_that_exchanged_devices(town: Town) -> None:
    move_dp2_to_f2(town, 30, "F3")
    lose_f1(town)
    for meter in range(30, 46):
        town.gasp(f"M{meter}", 40)
    with town.new_worker() as other:
        threads = [Thread(target=each.drain) for each in (town.worker, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    town.now = at(61)
    assert town.outages()[0][0] == "F1"
    assert town.outages()[0][3] == at(2)
    assert town.value("SELECT count(*) FROM oms_topology.inference_due WHERE due_at <= :at", at=at(61)) == 0


def test_more_changes_than_are_told_apart_end_in_the_same_outage(town: Town) -> None:
    move_dp2_to_f2(town, 30)
    for number in range(40):
        town.rows(
            "UPDATE oms_meters SET status = :status WHERE meter_number = 'M45'",
            status="inactive" if number % 2 else "active",
        )
        town.rows("UPDATE oms_topology.device SET is_stale = true WHERE code = 'DP3'")
        town.rows("SELECT oms_topology.settle()")
        town.rows(
            "UPDATE oms_topology.topology_change SET changed_at = :at WHERE topology_version ="
            " (SELECT max(topology_version) FROM oms_topology.topology_change)",
            at=at(30.6 + number * 0.6),
        )
    lose_f1(town)
    for meter in range(1, 20):
        town.gasp(f"M{meter}", 20, back=True)
    assert [(row[0], row[1], row[5]) for row in town.outages()] == [("F1", "cleared", 19)]
    assert town.value("SELECT count(*) FROM oms_topology.topology_change WHERE segment_nos <> '{}'") > 30
