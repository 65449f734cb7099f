"""What is concluded from signals: blame, validity in time, silence, and that order decides nothing."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from oms_topology.events import parse
from oms_topology.graph.topology import Topology
from oms_topology.outages.assessing import KnownEquipment, assess
from oms_topology.outages.forest import SupplyForest
from oms_topology.outages.rates import EvidenceRates, ReportKind, ReportRates
from oms_topology.outages.rules import CorrelationRules

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oms_topology.model import Signal
    from oms_topology.outages.assessment import Assessment

START = datetime(2025, 10, 1, 8, 0, tzinfo=UTC)
NET = Topology.from_text(
    "SS1 > F1 > DP1 > M1..M9; F1 > DP2 > M10..M19; F1 > DP3 > M20..M29; SS1 > F2 > DP4 > M30..M49"
)
FOREST = SupplyForest.of(NET)


def when(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def gasp(meter: str, minutes: float, kind: str = "ONU_LastGaspAlert") -> Signal:
    payload = {"type": kind, "timestamp": when(minutes).isoformat(), "associatedMeters": [meter]}
    return parse("onu", payload)[0]


def power_up(meter: str, minutes: float) -> Signal:
    return gasp(meter, minutes, "ONU_PowerRestored")


def unreachable(meter: str, minutes: float) -> Signal:
    return gasp(meter, minutes, "offline")


def call(meter: str, minutes: float) -> Signal:
    payload: dict[str, Any] = {"ticketId": f"T-{meter}-{minutes}", "timestamp": when(minutes).isoformat()}
    return parse("call_center", payload | {"customer": {"meterNumber": meter}})[0]


def feeder(code: str, minutes: float, alarm: str = "De-energized") -> Signal:
    payload = {"feederId": code, "alarmType": alarm, "timestamp": when(minutes).isoformat()}
    return parse("scada", payload)[0]


def numbers(first: int, last: int) -> list[str]:
    return [f"M{number}" for number in range(first, last + 1)]


def blamed(signals: Iterable[Signal], minutes: float = 60, **more: Any) -> list[str]:
    return [outage.device.code for outage in assess(signals, FOREST, at=when(minutes), **more).outages]


def told(found: Assessment) -> list[tuple[Any, ...]]:
    return [
        (outage.device, outage.started_at, outage.posterior, outage.supports, outage.customers)
        for outage in found.outages
    ]


def test_nothing_said_means_no_outage() -> None:
    assert blamed([]) == []


def test_one_meter_alone_is_itself_to_blame_and_many_are_their_transformer() -> None:
    assert blamed([gasp("M3", 0)]) == ["M3"]
    assert blamed([gasp(meter, 0) for meter in numbers(10, 14)]) == ["DP2"]


def test_losses_at_all_transformers_of_a_feeder_are_the_feeder() -> None:
    signals = [gasp(meter, 0) for first in (1, 10, 20) for meter in numbers(first, first + 4)]
    found = assess(signals, FOREST, at=when(60))
    outage = found.outages[0]
    assert [str(each.device) for each in found.outages] == ["feeder F1"]
    assert (outage.feeder, outage.substation, outage.distribution_point) == ("F1", "SS1", None)
    assert list(outage.meter_numbers) == numbers(1, 29)
    assert (outage.customers, outage.severity, outage.started_at) == (29, "medium", START)
    assert len(outage.supports) == 15
    assert (
        outage.confidence_score <= Decimal(repr(outage.posterior)) < outage.confidence_score + Decimal("0.01")
    )


def test_a_device_that_reports_itself_is_blamed_at_its_own_time() -> None:
    found = assess([feeder("F2", 5), gasp("M30", 3)], FOREST, at=when(6))
    assert [(each.device.code, each.started_at) for each in found.outages] == [("F2", when(5))]
    assert "reports that it has no power" in found.outages[0].reasons[0]


def test_a_report_of_its_own_blames_a_device_rather_than_the_way_to_it() -> None:
    net = Topology.from_text("SS1 > A > B > F1 > DP1 > M1..M9; SS1 > F2 > M10..M19; F1 > DP2 > M20..M29")
    found = assess([feeder("F1", 0)], net, at=when(10))
    assert [outage.device.code for outage in found.outages] == ["F1"]
    both = assess([feeder("F1", 0), feeder("F2", 0)], net, at=when(10))
    assert [outage.device.code for outage in both.outages] == ["SS1"]


def test_order_copies_and_later_signals_change_nothing() -> None:
    signals = [
        *(gasp(meter, number / 7) for number, meter in enumerate(numbers(1, 9))),
        *(gasp(meter, 1) for meter in numbers(10, 13)),
        call("M2", 4),
        call("M2", 9),
        power_up("M3", 20),
        feeder("F1", 0.5),
        feeder("F1", 15, "Energized"),
        unreachable("M31", 2),
        gasp("M40", 12),
    ]
    expected = assess(signals, FOREST, at=when(25))
    assert told(expected)
    rng = random.Random(3)
    for _ in range(20):
        mixed = [*signals, *rng.sample(signals, 5), gasp("M1", 26), feeder("F2", 30)]
        rng.shuffle(mixed)
        found = assess(mixed, FOREST, at=when(25))
        assert told(found) == told(expected)
        assert found.posteriors.is_dead.tolist() == expected.posteriors.is_dead.tolist()


def test_a_loss_stands_until_the_meters_own_newer_word() -> None:
    days = 3 * 24 * 60
    assert blamed([gasp("M3", 0)], days) == ["M3"]
    assert blamed([gasp("M3", 0), power_up("M3", 10)], days) == []
    assert blamed([gasp("M3", 0), power_up("M3", -10)], days) == ["M3"]
    assert blamed([gasp("M3", 20), gasp("M3", 0), power_up("M3", 10)], days) == ["M3"]


def test_a_call_counts_for_four_hours() -> None:
    calls = [call(meter, 0) for meter in numbers(10, 14)]
    assert blamed(calls, 239) == ["DP2"]
    assert blamed(calls, 241) == []


def test_a_call_that_has_aged_still_tells_when_the_outage_began() -> None:
    signals = [call("M10", 0), *(gasp(meter, 100) for meter in numbers(11, 16))]
    assert assess(signals, FOREST, at=when(300)).outages[0].started_at == START


def test_an_old_fuse_does_not_date_a_new_outage() -> None:
    signals = [gasp("M10", -5000), *(gasp(meter, 0) for meter in numbers(11, 16))]
    outage = assess(signals, FOREST, at=when(30)).outages[0]
    assert (outage.device.code, outage.started_at) == ("DP2", START)


def test_the_start_stays_while_supply_comes_back_step_by_step() -> None:
    dark = [gasp(meter, number / 10) for number, meter in enumerate(numbers(1, 29))]
    back = [power_up(meter, 40) for meter in numbers(1, 9)]
    before, after = (assess(said, FOREST, at=when(60)).outages for said in (dark, dark + back))
    assert [(each.device.code, each.started_at) for each in before] == [("F1", START)]
    assert [each.started_at for each in after] == [when(0.9), when(1.9)]
    first = [power_up(meter, 40) for meter in numbers(1, 3)]
    outage = assess(dark + first, FOREST, at=when(41)).outages[0]
    assert (outage.device.code, outage.started_at) == ("F1", START)


def test_a_second_outage_of_the_same_device_begins_anew() -> None:
    first = [gasp(meter, 0) for meter in numbers(10, 16)] + [power_up(meter, 20) for meter in numbers(10, 15)]
    again = [gasp(meter, 50) for meter in numbers(10, 15)]
    outage = assess(first + again, FOREST, at=when(60)).outages[0]
    assert (outage.device.code, outage.started_at) == ("DP2", when(50))


def test_the_same_report_twice_weighs_once() -> None:
    once = assess([call("M10", 0)], FOREST, at=when(60))
    often = assess([call("M10", minute) for minute in range(6)], FOREST, at=when(60))
    assert often.evidence.about_power.tolist() == once.evidence.about_power.tolist()


def test_one_meters_reports_are_bounded() -> None:
    rates = EvidenceRates().with_reports({ReportKind.ONU_LOSS: ReportRates(0.999, 1e-6)})
    found = assess([gasp("M10", 0), call("M10", 0)], FOREST, at=when(1), rates=rates)
    assert found.evidence.about_power.max() == rates.most_per_node


def test_nested_faults_show_when_the_feeder_is_back() -> None:
    dark = [gasp(meter, 0) for meter in numbers(1, 29)]
    trip = [feeder("F1", 0), *dark]
    assert blamed(trip, 10) == ["F1"]
    back = [*trip, feeder("F1", 30, "Energized"), *(power_up(meter, 31) for meter in numbers(1, 19))]
    assert blamed(back, 60) == ["DP3"]
    assert blamed([*back, *(power_up(meter, 90) for meter in numbers(20, 28))], 120) == []


def test_a_meter_whose_power_up_was_lost_is_no_outage() -> None:
    trip = [feeder("F1", 0), *(gasp(meter, 0) for meter in numbers(1, 29))]
    back = [feeder("F1", 30, "Energized"), *(power_up(meter, 31) for meter in numbers(1, 28))]
    assert blamed(trip + back, 60) == []


def test_a_fuse_that_blew_before_the_feeder_tripped_is_still_blown_when_it_is_back() -> None:
    trip = [feeder("F1", 0), *(gasp(meter, 0) for meter in numbers(1, 28))]
    back = [feeder("F1", 30, "Energized"), *(power_up(meter, 31) for meter in numbers(1, 28))]
    assert blamed([gasp("M29", -3000), *trip, *back], 60) == ["M29"]
    assert blamed([gasp("M29", 0), *trip, *back], 60) == []
    again = [feeder("F1", 50, "Energized"), gasp("M29", 40), power_up("M29", 31)]
    assert blamed([*trip, *back, *again], 120) == ["M29"]


def test_silence_alone_opens_no_outage_and_counts_only_after_its_delay() -> None:
    silent = [unreachable(meter, 0) for meter in numbers(10, 19)]
    watched = KnownEquipment(equipped={ReportKind.SILENCE: numbers(1, 49)})
    found = assess(silent, FOREST, at=when(60), equipment=watched)
    assert [outage.device.code for outage in found.suspicions] == ["DP2"]
    assert found.outages == ()
    assert assess(silent, FOREST, at=when(5)).suspicions == ()


def test_silence_of_what_was_heard_to_have_power_dates_a_suspicion() -> None:
    watched = KnownEquipment(equipped={ReportKind.SILENCE: numbers(1, 49)})
    heard = [power_up(meter, -30) for meter in numbers(10, 12)]
    found = assess(
        [*heard, *(unreachable(meter, 0) for meter in numbers(10, 19))],
        FOREST,
        at=when(60),
        equipment=watched,
    )
    assert [(each.device.code, each.started_at) for each in found.suspicions] == [("DP2", START)]


def test_a_dead_collector_explains_a_silent_block_and_a_gasp_through_it_does_not() -> None:
    collectors = dict.fromkeys(numbers(10, 29), "OLT1")
    silent = [unreachable(meter, 0) for meter in numbers(10, 29)]
    equipment = KnownEquipment(collectors=collectors)
    assert assess(silent, FOREST, at=when(60), equipment=equipment).suspicions == ()
    gasped = [gasp(meter, 0) for meter in numbers(10, 15)]
    assert blamed([*silent[10:], *gasped], equipment=equipment) == ["DP2"]


def test_who_has_an_onu_makes_silence_of_the_others_tell_less() -> None:
    signals = [gasp(meter, 0) for meter in numbers(10, 11)]
    have = [*numbers(1, 11), *numbers(20, 29)]
    only = KnownEquipment(equipped={ReportKind.ONU_LOSS: have, ReportKind.LAST_GASP: []})
    assert blamed(signals) == ["M10", "M11"]
    assert blamed(signals, equipment=only) == ["DP2"]


def test_meters_of_an_onu_are_those_that_are_known_to_hang_on_it() -> None:
    payload = {"onuId": 7, "type": "ONU_LastGaspAlert", "timestamp": START.isoformat()}
    signals = parse("onu", payload | {"associatedMeters": []})
    found = assess(signals, FOREST, at=when(60), equipment=KnownEquipment(onus={"7": ["M5"]}))
    assert [outage.device.code for outage in found.outages] == ["M5"]
    assert len(assess(signals, FOREST, at=when(60)).unplaced) == 1


def test_a_meter_that_may_hang_elsewhere_weighs_little() -> None:
    doubt = KnownEquipment(wrong_mapping={"M3": 0.9})
    assert blamed([gasp("M3", 0)], equipment=doubt) == []


def test_a_meter_with_a_second_supply_may_keep_its_power() -> None:
    net = Topology.from_text("SS1 > F1 > DP1 > M1..M9; SS1 > F2 > DP2 > M10..M19; F2 ~> M9")
    signals = [gasp(meter, 0) for meter in numbers(1, 6)]
    found = assess(signals, net, at=when(60))
    assert [outage.device.code for outage in found.outages] == ["F1"]
    assert found.explain("M8").dead_posterior > 0.99
    plain = assess([*signals, power_up("M9", 1)], net, at=when(60))
    assert [outage.device.code for outage in plain.outages] == ["F1"]


def test_devices_that_nothing_tells_apart_count_as_one() -> None:
    chain = Topology.from_text("SS1 > F1 > A > B > C > DP1 > M1..M9; SS1 > F2 > M10..M30")
    forest = SupplyForest.of(chain)
    signals = [gasp(meter, 0) for meter in numbers(1, 7)]
    outage = assess(signals, forest, at=when(60)).outages[0]
    assert outage.device.code == "F1"
    assert outage.posterior > 0.95


def test_signals_about_what_is_elsewhere_come_back() -> None:
    below = SupplyForest.of(NET, below="F2")
    found = assess([gasp("M1", 0), gasp("M30", 0)], below, at=when(60))
    assert [signal.meter_numbers for signal in found.unplaced] == [("M1",)]
    assert [outage.device.code for outage in found.outages] == ["M30"]


def test_a_switch_stands_for_what_it_feeds() -> None:
    net = Topology.from_text("SS1 > F1 >SW1> DP1 > M1..M9; F1 > DP2 > M10..M19")
    payload = {"switchId": "SW1", "alarmType": "De-energized", "timestamp": START.isoformat()}
    outage = assess(parse("scada", payload), net, at=when(5)).outages[0]
    assert (outage.device.code, outage.switch) == ("DP1", "SW1")


def test_the_deployed_rules_count_where_they_are_asked_to() -> None:
    signals = [gasp("M10", 0), gasp("M11", 0), gasp("M20", 0)]
    found = assess(signals, FOREST, at=when(60), rules=CorrelationRules(threshold=0.5))
    assert [(each.device.code, each.posterior) for each in found.outages] == [("DP2", 0.6), ("M20", 0.6)]
    assert blamed(signals, rules=CorrelationRules()) == []


def test_what_to_ask_next_is_what_tells_most() -> None:
    found = assess([gasp("M10", 0), gasp("M11", 0)], FOREST, at=when(60))
    asked = found.next_question()
    meters, probable = found.dead_probabilities()
    doubt = np.abs(probable - 0.5)
    assert asked == meters[doubt.argmin()]
    assert assess([], FOREST, at=when(60)).next_question() is None


def test_a_meter_is_explained_in_words() -> None:
    found = assess([gasp(meter, 0) for meter in numbers(10, 14)], FOREST, at=when(60))
    text = str(found.explain("M10"))
    assert "Meter M10 has no power with probability 1.000" in text
    assert "distribution_point DP2 has failed" in text
    assert "onu_loss (onu)" in text
    assert "5 of what it supplies reported a loss" in text


def test_an_answered_question_settles_what_was_in_doubt() -> None:
    signals = [gasp("M10", 0), gasp("M11", 0)]
    doubtful = assess(signals, FOREST, at=when(60))
    asked = doubtful.next_question()
    assert asked is not None
    before = doubtful.explain(asked).dead_posterior
    answered = assess([*signals, gasp(asked, 59, "online")], FOREST, at=when(60))
    assert answered.explain(asked).dead_posterior < before
    old = assess([*signals, gasp(asked, -60, "online")], FOREST, at=when(60))
    assert old.explain(asked).dead_posterior == before


def test_being_reached_is_no_report_of_power_but_weighs() -> None:
    lost = [gasp("M3", 0)]
    reached = assess([*lost, gasp("M3", 20, "online")], FOREST, at=when(60))
    assert [each.report.says_dead for each in reached.evidence.standing] == [True, None]
    assert reached.evidence.losses
    assert reached.outages == ()


def test_rates_go_through_plain_values_unchanged() -> None:
    rates = EvidenceRates(wrong_mapping=0.02).with_reports({ReportKind.CALL: ReportRates(0.1, 1e-3)})
    plain = json.loads(json.dumps(rates.to_mapping()))
    read = EvidenceRates.from_mapping(plain)
    assert (read.to_mapping(), read.wrong_mapping) == (rates.to_mapping(), 0.02)
    with pytest.raises(ValueError, match="smoke"):
        EvidenceRates.from_mapping({"reports": {"smoke": {"detection": 0.5}}})


@pytest.mark.parametrize("bad", [(0.5, 0.5), (0.2, 0.3), (1.0, 0.1), (0.5, 0.0)])
def test_rates_that_say_nothing_are_refused(bad: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="Rates must keep"):
        ReportRates(*bad)
