"""What people do with outages, and what evidence may do with theirs."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest

from oms_topology.errors import AmbiguousDeviceError, DecisionRefusedError, UnknownDeviceError
from oms_topology.persistence.life_cycle import Decision, StillDark, still_dark
from tests.acceptance.scada_grid import Grid, at, event
from tests.persistence.contract_functions import payload

if TYPE_CHECKING:
    from oms_topology.persistence.database import Database
    from oms_topology.persistence.life_cycle import Operator


@pytest.fixture
def grid(database: Database) -> Grid:
    return Grid(database)


@pytest.fixture
def desk(database: Database) -> Operator:
    return database.operator("OP7")


def trip(grid: Grid, minute: float = 0, *, feeder: str | None = "F1", **more: Any) -> str:
    """Report a loss; give the id of the outage that it opened or joined."""
    found = grid.through_sql(event(feeder=feeder, minute=minute, **more)).outage_event_id
    assert found is not None
    return found


def back(grid: Grid, minute: float, *, feeder: str | None = "F1", **more: Any) -> None:
    grid.through_sql(event(feeder=feeder, minute=minute, alarm="Energized", **more))


def status(grid: Grid, outage: str) -> str:
    return str(grid.value("SELECT status FROM oms_outage_events WHERE id = CAST(:id AS uuid)", id=outage))


def steps(grid: Grid, outage: str) -> list[tuple[str, str]]:
    return [
        (row[0], row[1])
        for row in grid.rows(
            "SELECT event_type, status FROM oms_event_timeline WHERE outage_event_id = CAST(:id AS uuid)"
            " ORDER BY metadata ->> 'decision_no' NULLS FIRST, timestamp",
            id=outage,
        )
    ]


def test_an_outage_is_confirmed_assigned_and_restored(grid: Grid, desk: Operator) -> None:
    outage = trip(grid)
    code = grid.value("SELECT event_id FROM oms_outage_events")
    assert desk.confirm(code, reason="Seen from the gate.", at=at(2)) == Decision(
        outage, code, "confirmed", True
    )
    assert desk.assign(outage, "CREW-4", at=at(3)).status == "in_progress"
    assert desk.assign(outage, "CREW-5", "survey", at=at(4)).status == "in_progress"
    assert desk.restore(outage, at=at(30)).status == "restored"
    assert grid.outages() == [("F1", "restored", at(0), at(30))]
    assert steps(grid, outage) == [
        ("detected", "detected"),
        ("confirmed", "confirmed"),
        ("crew_dispatched", "in_progress"),
        ("crew_dispatched", "in_progress"),
        ("restored", "restored"),
    ]
    assert grid.rows(
        "SELECT crew_id, assignment_type, status, assigned_at, completed_at FROM oms_crew_assignments"
        " ORDER BY assigned_at"
    ) == [
        ("CREW-4", "repair", "completed", at(3), at(30)),
        ("CREW-5", "survey", "completed", at(4), at(30)),
    ]
    assert (
        grid.value("SELECT description FROM oms_event_timeline WHERE event_type = 'confirmed'")
        == "Confirmed by OP7: Seen from the gate."
    )
    assert (
        grid.value("SELECT metadata ->> 'operator_id' FROM oms_event_timeline WHERE event_type = 'restored'")
        == "OP7"
    )


@pytest.mark.parametrize(("ended", "left"), [("cancel", "cancelled"), ("clear", "completed")])
def test_crews_are_released_once_there_is_nothing_left_to_do(
    grid: Grid, desk: Operator, ended: str, left: str
) -> None:
    outage = trip(grid)
    desk.assign(outage, "CREW-4", at=at(3))
    desk.assign(outage, "CREW-5", at=at(4))
    grid.rows("UPDATE oms_crew_assignments SET status = 'declined' WHERE crew_id = 'CREW-5'")
    grid.rows(
        "INSERT INTO oms_crew_assignments (outage_event_id, crew_id, assignment_type)"
        " VALUES (:outage, 'THEIRS', 'repair')", outage=outage,
    )  # fmt: skip
    if ended == "cancel":
        desk.cancel(outage, "A test of the alarm.", at=at(9))
    else:
        grid.through_sql(event(feeder="F1", minute=9, alarm="Energized"))
        assert grid.column("SELECT count(*) FROM oms_crew_assignments WHERE completed_at IS NOT NULL") == [0]
        grid.rows("UPDATE oms_outage_events SET status = 'cleared'")
    assert grid.rows(
        "SELECT crew_id, status, completed_at IS NOT NULL FROM oms_crew_assignments ORDER BY crew_id"
    ) == [("CREW-4", left, True), ("CREW-5", "declined", False), ("THEIRS", "assigned", False)]


def decide(desk: Operator, action: str, outage: str, **more: Any) -> Decision:
    words: dict[str, tuple[Any, ...]] = {
        "assign": ("CREW-4",), "cancel": ("A test of the alarm.",), "estimate": (at(99),)
    }  # fmt: skip
    decided: Decision = getattr(desk, action)(outage, *words.get(action, ()), **more)
    return decided


@pytest.mark.parametrize("action", ["confirm", "assign", "restore", "cancel", "estimate"])
@pytest.mark.parametrize("keyed", [False, True])
def test_the_same_request_again_changes_nothing(
    grid: Grid, desk: Operator, action: str, *, keyed: bool
) -> None:
    outage = trip(grid)
    more = {"request_id": "tablet-3:17"} if keyed else {}
    assert decide(desk, action, outage, **more).is_new
    before = grid.everything()
    assert not decide(desk, action, outage, **more).is_new
    assert grid.everything() == before


ALLOWED = {
    "detected": {"confirm", "assign", "restore", "cancel", "estimate"},
    "confirmed": {"assign", "restore", "cancel", "estimate"},
    "in_progress": {"assign", "restore", "cancel", "estimate"},
    "restored": {"cancel"},
    "cleared": set(),
    "cancelled": set(),
}
HOLDS = {("confirmed", "confirm"), ("restored", "restore"), ("cleared", "restore"), ("cancelled", "cancel")}


@pytest.mark.parametrize("standing", list(ALLOWED))
def test_what_the_status_does_not_allow_is_refused_in_words(
    grid: Grid, desk: Operator, standing: str
) -> None:
    outage = trip(grid)
    grid.rows("UPDATE oms_outage_events SET status = :status, actual_restoration_time = :at",
              status=standing, at=at(9) if standing in ("restored", "cleared") else None)  # fmt: skip
    code = grid.value("SELECT event_id FROM oms_outage_events")
    before = grid.everything()
    for action in ("confirm", "assign", "restore", "cancel", "estimate"):
        if (standing, action) in HOLDS:
            assert not decide(desk, action, outage).is_new
        elif action not in ALLOWED[standing]:
            with pytest.raises(
                DecisionRefusedError, match=f"Outage {code} is {standing.replace('_', ' ')}; {action}"
            ) as no:
                decide(desk, action, outage)
            assert (no.value.is_illegal_move, no.value.action) == (True, action)
            assert all(word in str(no.value) for word in ALLOWED[standing])
    assert grid.everything() == before


def test_requests_that_make_no_sense_are_refused(grid: Grid, desk: Operator, database: Database) -> None:
    outage = trip(grid)
    desk.confirm(outage, request_id="a")
    before = grid.everything()
    with pytest.raises(UnknownDeviceError, match="No outage has the code 'OMS_1'"):
        desk.confirm("OMS_1")
    for refused, says in (
        (lambda: database.operator("Amal Haddad").confirm(outage), "needs an id"),
        (lambda: desk.restore(outage, at=at(0)), "it cannot be over at 2025-10-01 12:00:00 UTC"),
        (lambda: desk.restore(outage, at=at(10**6)), "in the future"),
        (lambda: desk.cancel(outage, "  "), "Say why"),
        (lambda: desk.assign(outage, ""), "needs a crew id"),
        (lambda: desk.assign(outage, "C1", request_id="a"), "stands for another decision"),
        (lambda: desk.plan("F1", at(5), at(5)), "a start and a later end"),
    ):
        with pytest.raises(DecisionRefusedError, match=says) as no:
            refused()
        assert not no.value.is_illegal_move
    assert grid.everything() == before


def test_evidence_takes_nothing_back_that_people_confirmed(grid: Grid, desk: Operator) -> None:
    outage = trip(grid, 10)
    desk.assign(outage, "CREW-4", at=at(12))
    trip(grid, 14)  # again
    trip(grid, 5)  # late: it began earlier
    assert grid.outages() == [("F1", "in_progress", at(5), None)]
    back(grid, 40)
    assert grid.outages() == [("F1", "restored", at(5), at(40))]


def test_a_return_that_a_later_message_takes_back_finds_the_crew_still_at_work(
    grid: Grid, desk: Operator
) -> None:
    outage = trip(grid, 10)
    desk.assign(outage, "CREW-4", at=at(12))
    grid.rows("UPDATE oms_outage_events SET status = 'restored', actual_restoration_time = :at", at=at(20))
    trip(grid, 5)
    assert grid.outages() == [("F1", "in_progress", at(5), None)]


def test_what_people_restored_stays_so_and_a_later_loss_is_another_outage(grid: Grid, desk: Operator) -> None:
    first = trip(grid, 10)
    desk.restore(first, at=at(20))
    trip(grid, 8)  # late: of the same outage
    assert grid.outages() == [("F1", "restored", at(8), at(20))]
    second = trip(grid, 30)
    assert second != first
    back(grid, 45)
    assert grid.outages() == [("F1", "restored", at(8), at(20)), ("F1", "restored", at(30), at(45))]
    back(grid, 15)  # late: it was over before
    assert grid.outages()[0] == ("F1", "restored", at(8), at(15))


def test_what_was_none_is_not_opened_again(grid: Grid, desk: Operator) -> None:
    outage = trip(grid, 10)
    desk.cancel(outage, "A test of the relay.", at=at(20))
    for minute in (5, 12, 19):
        trip(grid, minute)
    assert grid.outages() == [("F1", "cancelled", at(5), None)]
    second = trip(grid, 25)
    assert grid.outages() == [("F1", "cancelled", at(5), None), ("F1", "detected", at(25), None)]
    back(grid, 60)
    assert (status(grid, outage), status(grid, second)) == ("cancelled", "restored")


def test_an_outage_of_the_past_that_was_none_ends_no_other(grid: Grid, desk: Operator) -> None:
    first = trip(grid, 10)
    back(grid, 20)
    trip(grid, 30)
    desk.cancel(first, "The relay was tested.")
    trip(grid, 28)
    assert grid.outages() == [("F1", "cancelled", at(10), at(20)), ("F1", "detected", at(28), None)]


def test_what_an_outage_covered_stands_for_itself_when_people_end_it(grid: Grid, desk: Operator) -> None:
    upper = trip(grid, 10)
    assert trip(grid, 12, feeder=None, switch="SW1") == upper
    desk.restore(upper, at=at(20))
    assert grid.outages() == [("F1", "restored", at(10), at(20)), ("DP1", "detected", at(12), None)]
    back(grid, 40, feeder=None, switch="SW1")
    assert grid.outages()[1] == ("DP1", "restored", at(12), at(40))


def test_decisions_move_to_the_outage_that_supersedes(grid: Grid, desk: Operator) -> None:
    lower = trip(grid, 12, feeder=None, switch="SW1")
    desk.confirm(lower, request_id="r1")
    desk.assign(lower, "CREW-4", request_id="r2")
    code = grid.value("SELECT event_id FROM oms_outage_events")
    upper = trip(grid, 10)  # late: the feeder had failed before
    assert grid.outages() == [("F1", "in_progress", at(10), None)]
    upper_code = grid.value("SELECT event_id FROM oms_outage_events")
    assert grid.column("SELECT DISTINCT outage_event_id::text FROM oms_topology.outage_decision") == [upper]
    assert grid.value("SELECT outage_event_id::text FROM oms_crew_assignments") == upper
    assert desk.assign(lower, "CREW-4", request_id="r2") == Decision(upper, upper_code, "in_progress", False)
    with pytest.raises(
        DecisionRefusedError, match=f"Outage {code} was withdrawn; in its place stands {upper_code}"
    ):
        desk.restore(code)


def test_what_was_none_says_nothing_of_the_outage_above(grid: Grid, desk: Operator) -> None:
    lower = trip(grid, 12, feeder=None, switch="SW1")
    desk.cancel(lower, "Read from the wrong panel.", at=at(14))
    trip(grid, 10)
    assert grid.outages() == [("F1", "detected", at(10), None)]


def test_a_short_interruption_is_momentary_until_it_turns_out_longer(grid: Grid, desk: Operator) -> None:
    types = "SELECT event_type FROM oms_outage_events ORDER BY first_detected_at"
    trip(grid, 10)
    assert grid.column(types) == ["outage"]
    back(grid, 15)
    assert grid.column(types) == ["momentary_interruption"]
    trip(grid, 9)
    assert grid.column(types) == ["outage"]
    outage = trip(grid, 30)
    desk.restore(outage, at=at(34))
    assert grid.column(types) == ["outage", "momentary_interruption"]
    grid.rows("UPDATE oms_topology.outage_setting SET momentary_limit = '3 minutes'")
    assert grid.value("SELECT oms_topology.event_type_of(:a, :b)", a=at(0), b=at(4)) == "outage"
    assert grid.value("SELECT oms_topology.event_type_of(:a, NULL)", a=at(0)) == "outage"


def test_a_planned_loss_is_no_fault(grid: Grid, desk: Operator) -> None:
    types = "SELECT event_type FROM oms_outage_events ORDER BY first_detected_at"
    planned = desk.plan("F1", at(0), at(60), reference="WO-12")
    assert planned.is_new
    assert not desk.plan("F1", at(0), at(60), reference="WO-12").is_new
    trip(grid, 10, feeder=None, switch="SW1")
    trip(grid, 30, feeder="F2")
    assert grid.column(types) == ["planned_outage", "outage"]
    back(grid, 12, feeder=None, switch="SW1")
    trip(grid, 60, feeder=None, switch="SW1")
    assert grid.column(types) == ["planned_outage", "outage", "outage"]
    assert desk.plan("SS1", at(20), at(40)).retyped == 1
    assert grid.column(types) == ["planned_outage", "planned_outage", "outage"]
    assert desk.withdraw_plan(planned.planned_no)
    assert not desk.withdraw_plan(planned.planned_no)
    assert grid.column(types) == ["momentary_interruption", "planned_outage", "outage"]


def test_a_plan_of_another_service_counts_too(grid: Grid, desk: Operator) -> None:
    grid.rows(
        """
        INSERT INTO oms_outage_events
            (event_id, event_type, first_detected_at, estimated_restoration_time, feeder_id)
        SELECT 'PLAN-1', 'planned_outage', :start, :until, f.id
        FROM network_feeders f WHERE f.feeder_id = 'F1'
        """,
        start=at(0),
        until=at(30),
    )
    outage = trip(grid, 5)
    assert (
        grid.value("SELECT event_type FROM oms_outage_events WHERE id = CAST(:id AS uuid)", id=outage)
        == "planned_outage"
    )
    with pytest.raises(UnknownDeviceError, match="No device has the code 'F9'"):
        desk.plan("F9", at(0), at(1))
    grid.rows("INSERT INTO network_substations (substation_id, name) VALUES ('F1', 'F1')")
    with pytest.raises(AmbiguousDeviceError, match="feeder and a substation"):
        desk.plan("F1", at(0), at(1))
    assert desk.plan("F1", at(0), at(1), kind="substation").is_new


def kaifa(code: str, minute: float, meter: str) -> dict[str, Any]:
    message = payload("kaifa_power_outage.function")
    when = at(minute).isoformat().replace("+00:00", "Z")
    message["header"] |= {"timestamp": when, "message_id": f"{code}-{minute}"}
    message["payload"] |= {
        "event_id": f"{code}-{minute}",
        "created_date_time": when,
        "event_type": {"@ref": code},
        "assets": {"ns2:mRID": meter},
        "usage_point": None,
    }
    return message


def say_kaifa(grid: Grid, code: str, minute: float, meter: str) -> None:
    grid.value(
        "SELECT insert_kaifa_event_from_json_with_meter_sync(CAST(:message AS jsonb))",
        message=json.dumps(kaifa(code, minute, meter)),
    )


def test_a_remote_disconnect_is_neither_loss_nor_outage(grid: Grid) -> None:
    for code in ("0.31.0.68", "0.31.0.42"):
        say_kaifa(grid, code, 5, "M2")
        answer = grid.value(
            "SELECT oms_correlate_events('outage', 'kaifa', :key, :at, 31.95, 35.93)",
            key=f"{code}-5",
            at=at(5),
        )
        assert answer is None
    assert grid.off() == []
    assert grid.value("SELECT count(*) FROM oms_outage_events") == 0
    say_kaifa(grid, "PowerOutage", 6, "M2")
    assert grid.off() == ["M2"]


def test_who_is_still_dark_critical_customers_first(grid: Grid, desk: Operator, database: Database) -> None:
    outage = trip(grid, 10)
    for minute, meter in ((11, "M1"), (12, "M2"), (13, "M3"), (14, "M5"), (15, "M6")):
        say_kaifa(grid, "PowerOutage", minute, meter)
    for meter, priority in (("M5", 1), ("M3", 2)):
        grid.rows(
            """
            INSERT INTO network_substation_meters (substation_id, meter_id, priority)
            SELECT s.id, m.id, :priority FROM network_substations s, oms_meters m
            WHERE s.substation_id = 'SS1' AND m.meter_number = :meter
            ON CONFLICT (substation_id, meter_id) DO UPDATE SET priority = excluded.priority
            """,
            meter=meter,
            priority=priority,
        )
    back(grid, 30)
    say_kaifa(grid, "PowerRestored", 31, "M2")
    assert [(row.meter_number, row.criticality) for row in still_dark(database, outage)] == [
        ("M5", 1),
        ("M3", 2),
        ("M1", 4),
    ]
    assert still_dark(database, outage)[0] == StillDark("M5", None, 1, "DP2", "F1", at(14))
    with pytest.raises(UnknownDeviceError, match="No outage has the code 'OMS_1'"):
        still_dark(database, "OMS_1")


def test_a_decision_and_a_report_at_the_same_time_are_both_kept(grid: Grid, database: Database) -> None:
    for turn in range(8):
        outage = trip(grid, 100 * turn)
        start = Barrier(3)

        def crew(outage: str = outage, start: Barrier = start) -> None:
            desk = database.operator("OP7")
            start.wait()
            desk.assign(outage, "CREW-4")

        def estimate(outage: str = outage, start: Barrier = start) -> None:
            desk = database.operator("OP8")
            start.wait()
            desk.estimate(outage, at(10**5))

        def reports(turn: int = turn, start: Barrier = start) -> None:
            start.wait()
            trip(grid, 100 * turn - 3)  # late
            back(grid, 100 * turn + 50)

        with ThreadPoolExecutor(3) as pool:
            tasks = [pool.submit(task) for task in (crew, estimate, reports)]
        refused = [task.exception() for task in tasks]
        assert all(error is None or isinstance(error, DecisionRefusedError) for error in refused), refused
        assert grid.outages()[-1] == ("F1", "restored", at(100 * turn - 3), at(100 * turn + 50))
        kept = grid.column(
            "SELECT action FROM oms_topology.outage_decision WHERE outage_event_id = CAST(:id AS uuid)",
            id=outage,
        )
        assert len(kept) == 2 - sum(error is not None for error in refused)
        crews = "SELECT count(*) FROM oms_crew_assignments WHERE outage_event_id = CAST(:id AS uuid)"
        assert grid.value(crews, id=outage) == kept.count("assign")
