"""The course of outages: what merges, splits, ends, surfaces and is withdrawn, whatever came first."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from oms_topology.events import parse
from oms_topology.graph.topology import Topology
from oms_topology.model import DeviceKind, DeviceReference, OutageStatus
from oms_topology.outages.assessing import assess
from oms_topology.outages.course import Course, CourseLimits, OutageCourse, course_of
from oms_topology.outages.forest import SupplyForest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oms_topology.model import Signal

START = datetime(2025, 10, 1, 8, 0, tzinfo=UTC)
FOREST = SupplyForest.of(
    Topology.from_text(
        "SS1 > F1 > DP1 > M1..M9; F1 > DP2 > M10..M19; F1 > DP3 > M20..M29; SS1 > F2 > DP4 > M30..M49"
    )
)


def when(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def gasp(meter: int, minutes: float, kind: str = "ONU_LastGaspAlert") -> Signal:
    payload = {"type": kind, "timestamp": when(minutes).isoformat(), "associatedMeters": [f"M{meter}"]}
    return parse("onu", payload)[0]


def back(meter: int, minutes: float) -> Signal:
    return gasp(meter, minutes, "ONU_PowerRestored")


def call(meter: int, minutes: float) -> Signal:
    payload: dict[str, Any] = {"ticketId": f"T-{meter}-{minutes}", "timestamp": when(minutes).isoformat()}
    return parse("call_center", payload | {"customer": {"meterNumber": f"M{meter}"}})[0]


def feeder(code: str, minutes: float, alarm: str = "De-energized") -> Signal:
    payload = {"feederId": code, "alarmType": alarm, "timestamp": when(minutes).isoformat()}
    return parse("scada", payload)[0]


def course(signals: Iterable[Signal], minutes: float = 120, **more: Any) -> Course:
    return course_of(signals, FOREST, at=when(minutes), **more)


def told(found: Course) -> list[tuple[str, float, float | None, str]]:
    """Device, minutes of start and end, status."""
    return [
        (
            each.device.code,
            _minutes(each.started_at),
            None if each.ended_at is None else _minutes(each.ended_at),
            each.status.value,
        )
        for each in found.outages
    ]


def withdrawn(found: Course) -> list[tuple[str, str | None]]:
    return [(each.device.code, each.into[0].code if each.into else None) for each in found.superseded]


def of(found: Course, code: str) -> OutageCourse:
    return next(each for each in found.outages if each.device.code == code)


def _minutes(time: datetime) -> float:
    return round((time - START) / timedelta(minutes=1), 3)


def dark(first: int, last: int, minutes: float = 0.0) -> list[Signal]:
    return [gasp(meter, minutes) for meter in range(first, last + 1)]


def again(first: int, last: int, minutes: float) -> list[Signal]:
    return [back(meter, minutes) for meter in range(first, last + 1)]


def test_nothing_said_is_no_course() -> None:
    assert course([]) == Course((), (), ())


def test_an_open_outage_is_what_is_concluded_now() -> None:
    signals = [*dark(10, 16), call(17, 9)]
    now, found = assess(signals, FOREST, at=when(60)).outages[0], course(signals, 60).outages[0]
    assert (found.status, found.ended_at, found.verified_at) == (OutageStatus.DETECTED, None, None)
    for name in (
        "device",
        "started_at",
        "posterior",
        "dead_posterior",
        "supports",
        "alternatives",
        "reasons",
    ):
        assert getattr(found, name) == getattr(now, name)


def test_blame_that_moves_up_leaves_one_outage_with_the_earliest_start() -> None:
    signals = [*dark(10, 14), *dark(1, 5, 3), *dark(20, 24, 6)]
    assert told(course(signals, 2)) == [("DP2", 0, None, "detected")]
    found = course(signals, 20)
    assert told(found) == [("F1", 0, None, "detected")]
    assert withdrawn(found) == [("DP2", "F1"), ("DP1", "F1")]
    gone = found.superseded[0]
    assert (gone.stood_from, gone.withdrawn_at) == (when(0), when(6))
    assert gone.into == (of(found, "F1").device, START)


def test_a_device_that_reports_itself_begins_at_its_own_time() -> None:
    found = course([*dark(1, 9), *dark(10, 19), *dark(20, 29), feeder("F1", 0.5)], 10)
    assert told(found) == [("F1", 0.5, None, "detected")]
    assert withdrawn(found) == []


def test_what_failed_long_before_the_feeder_stays_an_outage_of_its_own() -> None:
    fuse = dark(10, 19, -60)
    trip = [feeder("F1", 0), *dark(1, 9), *dark(20, 29)]
    assert told(course([*fuse, *trip], 10)) == [("DP2", -60, None, "detected"), ("F1", 0, None, "detected")]
    over = [feeder("F1", 30, "Energized"), *again(1, 9, 31), *again(20, 29, 31)]
    found = course([*fuse, *trip, *over], 60)
    assert told(found) == [("DP2", -60, None, "detected"), ("F1", 0, 30, "cleared")]
    assert of(found, "DP2").surfaced_from is None


def test_the_devices_word_ends_it_and_its_meters_verify_that() -> None:
    trip = [feeder("F1", 0), *dark(1, 29)]
    assert told(course([*trip, feeder("F1", 30, "Energized")], 31)) == [("F1", 0, 30, "restored")]
    found = course([*trip, feeder("F1", 30, "Energized"), *again(1, 28, 31), back(29, 40)])
    assert told(found) == [("F1", 0, 30, "cleared")]
    assert found.outages[0].verified_at == when(40)


def test_supply_that_comes_back_in_steps_ends_it_when_most_meters_have_it() -> None:
    steps = [*dark(1, 29), *again(1, 9, 40)]
    found = course(steps, 50)
    assert told(found) == [("F1", 0, None, "detected")]
    assert (found.outages[0].steps, len(found.outages[0].still_dark)) == (((when(40), 9),), 20)
    found = course([*steps, *again(10, 19, 50)], 60)
    assert told(found) == [("F1", 0, 50, "restored"), ("DP3", 0, None, "detected")]
    assert of(found, "DP3").surfaced_from == (of(found, "F1").device, START)
    assert of(found, "F1").steps == ((when(40), 9), (when(50), 19))
    found = course([*steps, *again(10, 19, 50), *again(20, 29, 70)])
    assert told(found) == [("F1", 0, 50, "cleared"), ("DP3", 0, 70, "cleared")]


def test_a_nested_fault_surfaces_with_the_start_of_what_hid_it() -> None:
    signals = [feeder("F1", 0), *dark(1, 29, 0.2), feeder("F1", 30, "Energized"), *again(1, 19, 31)]
    found = course(signals, 60)
    assert told(found) == [("F1", 0, 30, "restored"), ("DP3", 0, None, "detected")]
    assert of(found, "DP3").surfaced_from == (of(found, "F1").device, START)


def test_the_same_device_failing_anew_is_another_outage() -> None:
    first = [*dark(10, 16), *again(10, 16, 20)]
    found = course([*first, *dark(10, 16, 50), *again(10, 16, 80)])
    assert told(found) == [("DP2", 0, 20, "cleared"), ("DP2", 50, 80, "cleared")]


def test_an_interruption_of_seconds_is_momentary_and_is_not_missed() -> None:
    found = course([*dark(1, 29), *again(1, 29, 0.2)])
    assert told(found) == [("F1", 0, 0.2, "cleared")]
    assert found.outages[0].is_momentary
    strict = course([*dark(1, 29), *again(1, 29, 0.2)], limits=CourseLimits(momentary=timedelta(seconds=5)))
    assert not strict.outages[0].is_momentary


def test_calls_that_lapse_end_an_outage_without_a_word_of_supply() -> None:
    calls = [call(meter, meter / 10) for meter in range(10, 15)]
    found = course(calls, 300)
    assert [each[0] for each in told(found)] == ["DP2"]
    assert found.outages[0].status is OutageStatus.RESTORED
    assert "lapsed" in found.outages[0].reasons[-1]


def test_what_was_switched_off_as_planned_is_no_fault_but_what_stays_dark_is() -> None:
    window = (DeviceReference(DeviceKind.DISTRIBUTION_POINT, "DP2"), when(-1), when(60))
    signals = [*dark(10, 19), *dark(1, 9)]
    assert [each[0] for each in told(course(signals, 30, planned=[window]))] == ["DP1"]
    assert course(dark(10, 19), 59, planned=[window]).outages == ()
    late = course([*dark(10, 19), *again(10, 14, 61)], 90, planned=[window])
    assert {each.device.code for each in late.outages} <= {f"M{number}" for number in range(15, 20)}
    own = (DeviceReference(DeviceKind.FEEDER, "F1"), when(-1), when(60))
    assert course([feeder("F1", 0), *dark(1, 29)], 59, planned=[own]).outages == ()


def test_a_remote_disconnect_is_no_outage() -> None:
    cut = [gasp(meter, 0, "online") for meter in range(10, 20)]
    assert course(cut).outages == ()


def test_blame_that_moves_down_leaves_what_failed_below() -> None:
    found = course([gasp(1, 0), gasp(11, 0), gasp(21, 0), *dark(12, 18, 1)], 30)
    assert told(found)[0] == ("DP2", 0, None, "detected")
    assert withdrawn(found) == [("F1", "DP2")]
    assert "DP2" in found.superseded[0].reason


def test_flapping_is_as_many_momentary_interruptions() -> None:
    flaps = [each for k in (0, 2, 4) for each in (*dark(10, 16, k), *again(10, 16, k + 0.5))]
    found = course(flaps)
    assert told(found) == [("DP2", k, k + 0.5, "cleared") for k in (0, 2, 4)]
    assert all(each.is_momentary for each in found.outages)


def test_a_recloser_that_locks_out_is_a_momentary_interruption_and_an_outage() -> None:
    found = course([*dark(1, 29), *again(1, 29, 0.2), *dark(1, 29, 0.5), feeder("F1", 0.55)])
    assert told(found) == [("F1", 0, 0.2, "cleared"), ("F1", 0.55, None, "detected")]
    assert [each.is_momentary for each in found.outages] == [True, False]


def test_an_end_that_no_meter_bears_out_is_taken_back() -> None:
    signals = [feeder("F1", 0), *dark(1, 29, 0.1), feeder("F1", 30, "Energized")]
    assert told(course(signals, 31)) == [("F1", 0, 30, "restored")]
    assert told(course(signals, 60)) == [("F1", 0, None, "detected")]


def test_a_device_that_never_says_so_is_back_when_most_meters_are() -> None:
    silent = [feeder("F1", 0), *dark(1, 29, 0.1), *again(1, 25, 40)]
    assert told(course(silent)) == [("F1", 0, 40, "restored")]
    late = course([*silent, feeder("F1", 45, "Energized")])
    assert told(late) == [("F1", 0, 45, "restored")]
    assert "itself" in late.outages[0].reasons[-1]
    assert told(course([feeder("F1", 0), *again(1, 25, 40)])) == [("F1", 0, 40, "cleared")]


def test_feeders_that_come_back_one_by_one_are_their_substation_in_steps() -> None:
    trips = [feeder("F1", 0), feeder("F2", 0.2)]
    first = [*trips, feeder("F1", 20, "Energized")]
    assert told(course(first)) == [("SS1", 0, None, "detected")]
    assert told(course([*first, feeder("F2", 21, "Energized")])) == [("SS1", 0, 21, "restored")]


def test_energized_that_came_before_its_de_energized_is_the_same_restored_outage() -> None:
    assert told(course([feeder("F1", 45, "Energized"), feeder("F1", 0)])) == [("F1", 0, 45, "restored")]


def test_a_meter_whose_power_up_went_missing_is_still_dark_but_no_outage() -> None:
    found = course([*dark(10, 19), *again(10, 18, 30)])
    assert told(found) == [("DP2", 0, 30, "restored")]
    assert found.outages[0].still_dark == ("M19",)


def test_a_step_has_a_length() -> None:
    with pytest.raises(ValueError, match="step"):
        CourseLimits(step=timedelta(0))


def scenario() -> list[Signal]:
    return [
        *(gasp(meter, meter / 9) for meter in range(10, 17)),
        *(gasp(meter, 4 + meter / 50) for meter in (1, 3, 5, 7, 20, 22, 24)),
        feeder("F1", 5),
        call(31, 8),
        *(call(meter, 9 + meter / 10) for meter in (32, 33, 35, 36)),
        feeder("F1", 30, "Energized"),
        *(back(meter, 31 + meter / 20) for meter in (1, 3, 10, 11, 12, 13, 14, 15, 16, 20)),
        *(gasp(meter, 44) for meter in (22, 23, 24, 25)),
        back(31, 70),
    ]


@pytest.mark.parametrize("seed", range(4))
def test_order_and_copies_change_nothing(seed: int) -> None:
    signals, rng = scenario(), random.Random(seed)
    expected = course(signals)
    assert expected.outages
    mixed = [*signals, *rng.sample(signals, 8), gasp(40, 130)]
    rng.shuffle(mixed)
    assert course(mixed) == expected
