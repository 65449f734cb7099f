"""Single cases of what signals say of a meter, written down by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

from oms_topology.events import ReportedStatuses, fold, parse
from oms_topology.model import (
    CommunicationStatus,
    DeviceKind,
    DeviceReference,
    MeterStatus,
    PowerStatus,
    Signal,
    Source,
)

RECEIVED = datetime(2025, 10, 1, 12, tzinfo=UTC)
NEAR, FAR = DeviceReference(DeviceKind.SWITCH, "SW1"), DeviceReference(DeviceKind.FEEDER, "F1")
OTHER = DeviceReference(DeviceKind.FEEDER, "F2")


def at(minute: int) -> str:
    return f"2025-10-01T08:{minute:02d}:00+00:00"


def onu(kind: str, minute: int, *meters: str, onu_id: int = 7, **more: Any) -> Signal:
    said = {"type": f"ONU_{kind}", "onuId": onu_id, "timestamp": at(minute), "associatedMeters": list(meters)}
    return parse("onu", said | more, received_at=RECEIVED)[0]


def kaifa(kind: str, minute: int, meter: str) -> Signal:
    event = {"assets": {"mRID": meter}, "event_type": kind, "created_date_time": at(minute)}
    return parse("kaifa", {"payload": event}, received_at=RECEIVED)[0]


def device(reference: DeviceReference, power: PowerStatus, minute: int, event_id: str = "e") -> Signal:
    when = datetime.fromisoformat(at(minute))
    return Signal(
        source=Source.SCADA, source_event_id=event_id, content_hash=f"{power}{minute}", device=reference,
        power_status=power, occurred_at=when, received_at=when,
    )  # fmt: skip


def said_off(meter: str, minute: int) -> Signal:
    return replace(
        device(DeviceReference(DeviceKind.METER, meter), PowerStatus.OFF, minute), source=Source.SYSTEM
    )


def one(*signals: Signal, **more: Any) -> MeterStatus:
    """The status of M1, the same in each order."""
    found = {fold(order, **more)["M1"] for order in permutations(signals)}
    assert len(found) == 1
    return found.pop()


def power(*signals: Signal, **more: Any) -> tuple[str, int | None]:
    status = one(*signals, **more)
    return status.power_status.value, status.last_power_change and status.last_power_change.minute


def test_the_newest_event_counts_and_runs_begin_with_their_first() -> None:
    gasp, again, back = (
        onu("LastGaspAlert", 2, "M1"), onu("LastGaspAlert", 5, "M1"), onu("PowerRestored", 9, "M1"),
    )  # fmt: skip
    assert power(gasp, again) == ("off", 2)
    assert power(gasp, back) == ("on", 9)
    late = onu("PowerRestored", 3, "M1")
    status = one(gasp, again, late)
    assert (status.power_status, status.last_power_change) == (PowerStatus.OFF, again.occurred_at)
    assert status.power_report is not None
    assert status.power_report.content_hash == again.content_hash


def test_losing_reach_says_nothing_of_power() -> None:
    status = one(onu("PowerRestored", 2, "M1"), onu("LossOfSignal", 4, "M1"))
    assert (status.power_status, status.communication_status) == (
        PowerStatus.ON,
        CommunicationStatus.OFFLINE,
    )
    assert status.last_communication == status.last_status_change != status.last_power_change


def test_of_one_instant_the_more_reliable_source_counts_then_the_greater_id_then_the_content() -> None:
    assert power(onu("LastGaspAlert", 2, "M1"), kaifa("PowerRestored", 2, "M1")) == ("on", 2)
    first, second = (
        onu("LastGaspAlert", 2, "M1", eventId="b"), onu("PowerRestored", 2, "M1", eventId="a"),
    )  # fmt: skip
    assert power(first, second) == ("off", 2)
    same = (
        replace(first, source_event_id="c", content_hash="0"),
        replace(second, source_event_id="c", content_hash="1"),
    )
    assert power(*same) == ("on", 2)
    assert power(replace(same[0], content_hash="2"), same[1]) == ("off", 2)


def test_an_impossible_time_counts_at_receipt_until_a_sound_one_is_known() -> None:
    hopeless = onu("LastGaspAlert", 2, "M1", timestamp="1990-01-01T00:00:00Z")
    assert one(hopeless).last_power_change == RECEIVED
    assert power(hopeless, onu("PowerRestored", 2, "M1")) == ("on", 2)
    later = replace(onu("PowerRestored", 3, "M1"), occurred_at=RECEIVED + timedelta(hours=1))
    status = ReportedStatuses()
    status.update([later, hopeless])
    assert [said.value for _, said in status.power_history("M1")] == ["off", "on"]


def test_of_copies_with_other_times_the_first_received_counts() -> None:
    early = onu("LastGaspAlert", 2, "M1", timestamp="1990-01-01T00:00:00Z")
    late = replace(
        early, received_at=RECEIVED + timedelta(hours=1), occurred_at=RECEIVED + timedelta(hours=1)
    )
    assert one(late, early, late).last_power_change == RECEIVED


def test_a_meter_follows_the_onus_that_serve_it_or_ever_named_it() -> None:
    gasp, named = onu("LastGaspAlert", 5), onu("PowerRestored", 2, "M1")
    assert power(gasp, named) == ("off", 5)
    assert power(gasp, named, onus={"7": [], "8": ["M1"]}) == ("on", 2)
    assert power(onu("LastGaspAlert", 6, onu_id=8), named, onus={"8": ["M1"]}) == ("off", 6)


def test_devices_above_count_as_far_as_nothing_nearer_speaks_against_them() -> None:
    supplies = {"M1": [[NEAR, FAR]]}
    trip, back = device(FAR, PowerStatus.OFF, 2), device(FAR, PowerStatus.ON, 8)
    assert power(trip, supplies=supplies) == ("off", 2)
    assert power(trip, back, supplies=supplies) == ("on", 8)
    assert power(trip, device(NEAR, PowerStatus.ON, 4), supplies=supplies) == ("on", 4)
    assert power(trip, device(NEAR, PowerStatus.ON, 2), supplies=supplies) == ("off", 2)
    assert power(device(NEAR, PowerStatus.OFF, 4), back, supplies=supplies) == ("off", 4)
    assert power(trip, onu("PowerRestored", 4, "M1"), supplies=supplies) == ("on", 4)
    assert power(trip, onu("LastGaspAlert", 4, "M1"), back, supplies=supplies) == ("off", 2)
    assert fold([trip]) == {}


def test_a_meter_with_two_supplies_is_off_when_both_are() -> None:
    supplies = {"M1": [[FAR], [OTHER]]}
    trips = device(FAR, PowerStatus.OFF, 2), device(OTHER, PowerStatus.OFF, 5)
    assert power(trips[0], supplies=supplies) == ("unknown", None)
    assert power(*trips, supplies=supplies) == ("off", 5)
    assert power(*trips, device(FAR, PowerStatus.ON, 6), supplies=supplies) == ("on", 6)


def test_an_old_services_off_gives_way_to_any_newer_supply() -> None:
    supplies = {"M1": [[FAR]]}
    told = said_off("M1", 4)
    assert power(told, onu("PowerRestored", 2, "M1"), supplies=supplies) == ("off", 4)
    assert power(told, onu("PowerRestored", 5, "M1"), supplies=supplies) == ("on", 5)
    assert power(told, device(FAR, PowerStatus.ON, 5), supplies=supplies) == ("on", 5)
    assert power(told, device(FAR, PowerStatus.ON, 4), supplies=supplies) == ("on", 4)


def test_a_call_changes_nothing_and_meters_come_in_order() -> None:
    call = {"ticketId": "T1", "timestamp": at(1), "customer": {"meterNumber": "M0"}}
    signals = [*parse("call_center", call, received_at=RECEIVED), onu("Rebooted", 2, "M3", "M2")]
    assert fold(signals) == {"M2": MeterStatus(), "M3": MeterStatus()}
    assert fold([]) == {}
    statuses = ReportedStatuses(onus={"7": ["M4"]})
    statuses.update(signals)
    assert (list(statuses), len(statuses)) == (["M2", "M3", "M4"], 3)
