"""What was said is judged on the network of its time: outages over changes of the network."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from oms_topology.graph.topology import Topology
from oms_topology.model import DeviceKind, DeviceReference
from oms_topology.outages.course import course_of
from tests.outages.test_course_of import again, call, dark, feeder, of, told, when, withdrawn
from tests.outages.test_course_sweep import EXAMPLES, START, cases

if TYPE_CHECKING:
    from oms_topology.model import Signal
    from oms_topology.outages.course import Course
    from oms_topology.outages.forest import SupplyForest

DP1_AND_DP2 = "SS1 > F1 > DP1 > M1..M9; F1 > DP2 > M10..M19; SS1 > F2 > DP4 > M30..M49"
ON_F1 = Topology.from_text(f"{DP1_AND_DP2}; F1 > DP3 > M20..M29")
ON_F2 = Topology.from_text(f"{DP1_AND_DP2}; F2 > DP3 > M20..M29")
WITHOUT = Topology.from_text(DP1_AND_DP2)


def course(
    signals: list[Signal], minutes: float, before: Topology, now: Topology, changed: float = 60
) -> Course:
    return course_of(signals, now, at=when(minutes), former=[(when(changed), before)])


def test_an_outage_that_was_over_before_the_change_is_one_of_the_old_network() -> None:
    signals = [*dark(1, 7), *dark(10, 18), *dark(20, 28), *again(1, 7, 30), *again(10, 29, 30)]
    found = course(signals, 120, ON_F1, ON_F2)
    assert told(found) == [("F1", 0, 30, "cleared")]
    assert of(found, "F1").customers == 29
    assert not found.superseded
    # On the network of today it would be two, and each too small.
    assert len(course_of(signals, ON_F2, at=when(120)).outages) == 2


def test_what_is_fed_from_elsewhere_has_supply_again_and_still_counts() -> None:
    signals = [*dark(1, 7), *dark(10, 18), *dark(20, 28), *again(20, 27, 61)]
    found = course(signals, 90, ON_F1, ON_F2)
    assert told(found) == [("F1", 0, None, "detected")]
    outage = of(found, "F1")
    assert outage.customers == len(outage.meter_numbers) == 29
    assert outage.meter_numbers[-10:] == tuple(f"M{number}" for number in range(20, 30))
    assert outage.steps == ((when(60), 9),)
    assert not {f"M{number}" for number in range(20, 30)} & set(outage.still_dark)
    assert len(outage.still_dark) == 16


def test_what_stays_dark_on_its_new_feed_is_an_outage_of_its_own() -> None:
    signals = [*dark(1, 7), *dark(10, 18), *dark(20, 28), *dark(20, 28, 75)]
    found = course(signals, 150, ON_F1, ON_F2)
    assert [each.device.code for each in found.outages] == ["F1", "DP3"]
    assert of(found, "DP3").customers == 10


def test_an_outage_goes_with_its_device() -> None:
    signals = [*dark(20, 28), call(29, 20), *again(20, 29, 90)]
    found = course(signals, 120, ON_F1, ON_F2)
    assert told(found) == [("DP3", 0, 90, "cleared")]
    assert of(found, "DP3").feeder == "F2"
    assert told(course(signals, 75, ON_F1, ON_F2)) == [("DP3", 0, None, "detected")]


def test_what_came_later_does_not_speak_against_an_outage_before() -> None:
    signals = [*dark(1, 7), *dark(10, 18)]
    found = course(signals, 120, ON_F2, ON_F1)
    assert told(found) == [("F1", 0, None, "detected")]
    assert of(found, "F1").customers == 29


def test_what_meters_said_on_another_feed_is_not_lost_by_the_outage_above_them_now() -> None:
    signals = [feeder("F2", 0), *dark(20, 28), *dark(30, 48), feeder("F2", 20, "Energized")]
    signals += [*again(30, 49, 20), *dark(1, 7, 50), *dark(10, 18, 50), *dark(20, 28, 50)]
    found = course([*signals, *again(20, 28, 21)], 70, ON_F2, ON_F1, changed=40)
    # Who was on F2 is verified by what they said there.
    assert told(found) == [("F2", 0, 20, "cleared"), ("F1", 50, None, "detected")]
    assert len(of(found, "F1").still_dark) == 25


def test_an_outage_of_what_was_taken_out_is_over() -> None:
    found = course([*dark(20, 28)], 120, ON_F1, WITHOUT)
    assert told(found) == [("DP3", 0, 60, "restored")]
    outage = of(found, "DP3")
    assert outage.customers == len(outage.meter_numbers) == 10
    assert outage.reasons[-1] == "It is no longer part of the network."


def test_what_was_said_before_a_network_was_known_is_judged_on_the_first() -> None:
    signals = [*dark(20, 28), *again(20, 29, 90)]
    nothing = Topology.from_text("SS9 > F9")
    found = course(signals, 120, nothing, ON_F1)
    assert told(found) == told(course_of(signals, ON_F1, at=when(120)))
    assert not found.unplaced


def test_a_plan_holds_for_what_hung_below_it_then() -> None:
    plan = (DeviceReference(DeviceKind.FEEDER, "F1"), when(-5), when(90))
    signals = [*dark(1, 7), *dark(10, 18), *dark(20, 28), *again(1, 29, 91)]
    found = course_of(signals, ON_F2, at=when(180), former=[(when(30), ON_F1)], planned=[plan])
    assert not [each for each in found.outages if each.device.code in ("F1", "F2", "DP1", "DP2")]
    assert not any(each.started_at < when(30) for each in found.outages if each.device.code != "DP3")


def test_an_open_switch_does_not_hide_an_outage_behind_it() -> None:
    net = Topology.from_text("SS1 > F1 > DP1 > M1..M9; F1 >SW1> DP2 > M10..M19")
    net.open("SW1")
    found = course_of([*dark(10, 16)], net, at=when(60))
    assert [(each.device.code, each.customers) for each in found.outages] == [("DP2", 10)]
    assert not found.unplaced
    fed_by_a_tie = Topology.from_text(
        "SS1 > F1 >SW1> DP2 > M10..M19; SS1 > F2 > DP9 > M50..M59; F2 /TIE/ DP2"
    )
    fed_by_a_tie.open("SW1")
    fed_by_a_tie.close("TIE")
    outage = course_of([*dark(10, 16)], fed_by_a_tie, at=when(60)).outages[0]
    assert (outage.device.code, outage.feeder) == ("DP2", "F2")


def test_withdrawn_hypotheses_keep_their_names() -> None:
    signals = [*dark(20, 25), *dark(1, 7, 3), *dark(10, 18, 3)]
    found = course(signals, 120, ON_F1, WITHOUT)
    assert ("DP3", "F1") in withdrawn(found)


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(), st.lists(st.integers(-600, 6 * 3600), max_size=3), st.integers(1, 7))
def test_a_network_that_stays_as_it_was_changes_nothing(
    case: tuple[SupplyForest, list[Signal]], changes: list[int], hours: int
) -> None:
    forest, signals = case
    at = START + timedelta(hours=hours)
    former = [(START + timedelta(seconds=seconds), forest) for seconds in sorted(changes)]
    found = course_of(signals, forest, at=at, former=former)
    plain = course_of(signals, forest, at=at)
    assert _essence(found) == _essence(plain)


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases(), cases(), st.integers(-600, 6 * 3600), st.integers(1, 7), st.randoms(use_true_random=False))
def test_a_course_over_networks_is_sound_and_knows_no_order(
    case: tuple[SupplyForest, list[Signal]],
    other: tuple[SupplyForest, list[Signal]],
    changed: int,
    hours: int,
    rng: object,
) -> None:
    (before, signals), (after, more) = case, other
    at, changed_at = START + timedelta(hours=hours), START + timedelta(seconds=changed)
    found = course_of([*signals, *more], after, at=at, former=[(changed_at, before)])
    mixed = [*more, *signals, *signals[::3]]
    rng.shuffle(mixed)  # type: ignore[attr-defined]
    assert course_of(mixed, after, at=at, former=[(changed_at, before)]) == found
    keys = [(each.device, each.started_at) for each in (*found.outages, *found.superseded)]
    assert len(set(keys)) == len(keys)
    for outage in found.outages:
        assert outage.started_at <= (outage.ended_at or at)
        assert outage.verified_at is None or not outage.still_dark
        assert len(set(outage.meter_numbers)) == len(outage.meter_numbers) >= outage.customers
        counts = [count for _, count in outage.steps]
        assert counts == sorted(counts)


def _essence(found: Course) -> list[tuple[object, ...]]:
    return [
        (
            each.device,
            each.started_at,
            each.ended_at,
            each.verified_at,
            each.meter_numbers,
            each.still_dark,
            each.steps,
            each.surfaced_from,
        )
        for each in found.outages
    ]
