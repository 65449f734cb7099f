"""Whether supply is back follows from the set of reports: the device's word, or most of the meters'."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from oms_topology.events import parse
from oms_topology.graph.topology import Topology
from oms_topology.model import DeviceKind, OutageStatus
from oms_topology.outages.forest import SupplyForest
from oms_topology.outages.reports import Report, read_reports
from oms_topology.outages.restoration import Restoration, restoration_of

if TYPE_CHECKING:
    from oms_topology.model import Signal

START = datetime(2025, 10, 1, 8, 0, tzinfo=UTC)
FOREST = SupplyForest.of(Topology.from_text("SS1 > F1 > DP1 > M1..M5; F1 > DP2 > M6..M9; SS1 > F2 > M10"))
F1 = FOREST.node(DeviceKind.FEEDER, "F1")


def when(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def meter(number: int, minutes: float, *, is_on: bool = False) -> Signal:
    kind = "ONU_PowerRestored" if is_on else "ONU_LastGaspAlert"
    payload = {"type": kind, "timestamp": when(minutes).isoformat(), "associatedMeters": [f"M{number}"]}
    return parse("onu", payload)[0]


def feeder(minutes: float, alarm: str) -> Signal:
    payload = {"feederId": "F1", "alarmType": alarm, "timestamp": when(minutes).isoformat()}
    return parse("scada", payload)[0]


def told(signals: list[Signal], minutes: float = 120) -> Restoration:
    reports: list[Report] = read_reports(signals, FOREST)[0]
    return restoration_of(reports, FOREST, F1, started_at=START, at=when(minutes))


LOST = [meter(number, number / 10) for number in range(1, 10)]


def test_nothing_said_of_power_is_no_restoration() -> None:
    found = told([*LOST, meter(10, 30, is_on=True)])
    assert (found.restored_at, found.status, found.lost, found.heard_again) == (None, None, 9, 0)
    assert found.still_dark == tuple(f"M{number}" for number in range(1, 10))


def test_most_meters_back_is_supply_back_at_the_time_of_the_middle_one() -> None:
    back = [meter(number, 20 + number, is_on=True) for number in range(1, 6)]
    assert told(LOST + back[:4]).restored_at is None
    found = told(LOST + back)
    assert (found.restored_at, found.by_device, found.status) == (when(25), False, OutageStatus.RESTORED)
    assert found.steps == tuple((when(20 + number), number) for number in range(1, 6))
    assert found.still_dark == ("M6", "M7", "M8", "M9")


def test_the_devices_own_word_decides_and_the_meters_verify_it() -> None:
    trip, back = feeder(0, "De-energized"), feeder(30, "Energized")
    some = [meter(number, 31, is_on=True) for number in range(1, 9)]
    assert told([trip, *LOST, *some]).restored_at is None
    assert told([trip, *LOST, back]).restored_at == when(30)
    assert told([trip, *LOST, back, *some]).still_dark == ("M9",)
    every = told([trip, *LOST, back, *some, meter(9, 40, is_on=True)])
    assert (every.by_device, every.status) == (True, OutageStatus.CLEARED)


def test_what_fails_again_is_not_back_and_order_changes_nothing() -> None:
    signals = [feeder(0, "De-energized"), *LOST, feeder(30, "Energized"), feeder(50, "De-energized")]
    signals += [meter(number, 31, is_on=True) for number in range(1, 9)]
    expected = told(signals)
    assert (expected.restored_at, told(signals, 40).restored_at) == (None, when(30))
    rng = random.Random(1)
    for _ in range(10):
        rng.shuffle(signals)
        assert told(signals + rng.sample(signals, 3)) == expected


def test_a_single_meter_is_back_by_its_own_word() -> None:
    node = FOREST.meter_node("M3")
    reports, _ = read_reports([*LOST, meter(3, 9, is_on=True)], FOREST)
    found = restoration_of(reports, FOREST, node, started_at=START, at=when(60))
    assert (found.restored_at, found.lost, found.status) == (when(9), 1, OutageStatus.CLEARED)
