"""Who is told what, when, and how often: the outbox, filled from outages."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from oms_topology import Pipeline
from oms_topology.persistence.notifications import Outbox, Postponement, mark_delivered
from oms_topology.service.outage_worker import OutageWorker
from tests.acceptance.scada_grid import at
from tests.service.town import Town

if TYPE_CHECKING:
    from oms_topology.persistence.database import Database
    from oms_topology.persistence.notifications import Claim

LEASE = timedelta(minutes=5)


@pytest.fixture
def town(database: Database) -> Town:
    return Town(database)


@pytest.fixture
def outbox(town: Town) -> Outbox:
    return Outbox(town.database.engine)


def claim(outbox: Outbox, minute: float, *, channel: str = "sms", most: int = 100) -> Claim:
    return outbox.claim(channel, most=most, lease=LEASE, at=at(minute))


def send_all(outbox: Outbox, minute: float) -> int:
    claimed = claim(outbox, minute)
    return outbox.settle(claimed, [each.message_id for each in claimed.messages], at=at(minute))


def test_each_customer_is_told_once_however_many_meters_it_has(town: Town, outbox: Outbox) -> None:
    town.trip(0, feeder="F1")
    assert outbox.queue(at(6)) == 3
    assert town.told() == ["one", "three", "two"]
    town.trip(0, feeder="F1")
    assert outbox.queue(at(20)) == 0


def test_an_alternate_supply_or_a_newer_word_of_the_meter_spares_it(town: Town, outbox: Outbox) -> None:
    town.rows("UPDATE oms_meters SET customer_id = NULL WHERE meter_number IN ('M2', 'M5')")
    town.trip(0, feeder="F1")
    town.say(["M3"], "on", 2)
    assert outbox.queue(at(6)) == 0
    town.trip(7, substation="SS2", feeder="F3")
    assert outbox.queue(at(13)) == 3
    assert town.told_of("F3") == ["one", "six", "three"]


def test_an_outage_that_may_be_momentary_is_not_told_of(town: Town, outbox: Outbox) -> None:
    town.trip(0, feeder="F2")
    assert outbox.queue(at(5)) == 0
    town.restore(5, feeder="F2")
    assert outbox.queue(at(30)) == 0
    town.trip(40, feeder="F2")
    assert outbox.queue(at(43)) == 0
    assert outbox.queue(at(43), momentary_limit=timedelta(minutes=2)) == 2


@pytest.mark.parametrize(
    "change",
    [
        "status = 'cancelled'",
        "event_type = 'planned_outage'",
        "confidence_score = 0.69",
        "confidence_score = NULL",
    ],
)
def test_what_is_planned_cancelled_or_doubtful_is_not_told_of(
    town: Town, outbox: Outbox, change: str
) -> None:
    town.trip(0, feeder="F2")
    town.rows(f"UPDATE oms_outage_events SET {change}")
    assert outbox.queue(at(10)) == 0


def test_in_a_storm_the_threshold_is_that_of_the_storm(town: Town, outbox: Outbox) -> None:
    town.trip(0, feeder="F2")
    town.rows("UPDATE oms_outage_events SET confidence_score = 0.6")
    assert outbox.queue(at(10)) == 0
    town.rows("UPDATE oms_storm_mode_config SET is_active = true")
    assert outbox.queue(at(12)) == 2


def test_an_outage_of_long_ago_is_not_announced_now(town: Town, outbox: Outbox) -> None:
    town.trip(0, feeder="F2")
    assert outbox.queue(at(60 * 24 + 1)) == 0


def test_the_kinds_come_in_their_order_and_the_end_only_to_who_knew_of_it(town: Town, outbox: Outbox) -> None:
    town.trip(0, feeder="F2")
    outbox.queue(at(6))
    town.rows(
        "INSERT INTO oms_crew_assignments (outage_event_id, crew_id, assignment_type)"
        " SELECT id, 'CREW-1', 'primary' FROM oms_outage_events"
    )
    assert outbox.queue(at(8)) == 0
    assert send_all(outbox, 9) == 2
    assert outbox.queue(at(10)) == 2
    assert send_all(outbox, 10) == 2
    town.restore(20, feeder="F2")
    assert outbox.queue(at(21)) == 2
    assert send_all(outbox, 21) == 2
    assert outbox.queue(at(60)) == 0
    expected = [
        (who, kind, "sent")
        for who in ("five", "four")
        for kind in ("crew_dispatched", "outage_detected", "restored")
    ]
    assert town.outbox_rows() == expected


def test_who_is_still_dark_is_told_of_the_end_when_it_is_one(town: Town, outbox: Outbox) -> None:
    town.say(["M6"], "off", 1)
    town.trip(2, feeder="F2")
    outbox.queue(at(8))
    send_all(outbox, 8)
    town.restore(20, feeder="F2")
    assert outbox.queue(at(21)) == 1
    assert town.told("restored") == ["five"]
    town.say(["M6"], "on", 30)
    assert outbox.queue(at(31)) == 1


def test_below_a_nested_outage_the_end_of_the_upper_one_is_not_told(town: Town, outbox: Outbox) -> None:
    town.trip(0, feeder="F1", switch="SW1")
    town.trip(1, feeder="F1")
    outbox.queue(at(10))
    while send_all(outbox, 11):
        pass
    town.restore(20, feeder="F1")
    outbox.queue(at(21))
    assert town.told_of("F1", "restored") == ["three"]
    town.restore(30, feeder="F1", switch="SW1")
    assert outbox.queue(at(31)) == 2
    assert town.told_of("F1", "restored") == town.told_of("F1")
    assert town.told_of("DP1", "restored") == town.told_of("DP1") == ["one", "two"]


def test_who_was_told_of_a_withdrawn_outage_is_not_told_of_its_successor(town: Town, outbox: Outbox) -> None:
    town.trip(10, feeder="F1", switch="SW1")
    outbox.queue(at(16))
    send_all(outbox, 16)
    assert town.told() == ["one", "two"]
    town.trip(5, feeder="F1")
    assert town.value("SELECT count(*) FROM oms_topology.outage_revision") == 1
    assert outbox.queue(at(17)) == 1
    assert town.told() == town.told_of("F1") == ["one", "three", "two"]
    send_all(outbox, 17)
    town.restore(30, feeder="F1")
    town.restore(30, feeder="F1", switch="SW1")
    assert outbox.queue(at(31)) == 3


def test_what_was_not_sent_when_its_outage_went_is_told_of_the_successor(town: Town, outbox: Outbox) -> None:
    town.trip(10, feeder="F1", switch="SW1")
    outbox.queue(at(16))
    town.trip(5, feeder="F1")
    assert outbox.queue(at(17)) == 1
    claimed = claim(outbox, 18)
    assert {each.areas for each in claimed.messages} == {("F1",)}
    assert len({each.customer_id for each in claimed.messages}) == len(claimed.messages) == 3


def test_of_two_messages_of_one_darkness_the_one_that_was_sent_stays(town: Town, outbox: Outbox) -> None:
    town.trip(0, feeder="F1", switch="SW1")
    outbox.queue(at(6))
    send_all(outbox, 6)
    town.trip(1, feeder="F1")
    outbox.queue(at(7))
    assert town.told_of("F1") == ["one", "three", "two"]
    town.trip(0, feeder="F1")
    assert town.value("SELECT count(*) FROM oms_outage_events") == 1
    claimed = claim(outbox, 8)
    assert len(claimed.messages) == 1
    assert town.told() == ["one", "three", "two"]


def test_who_was_told_of_a_fault_that_was_none_is_not_told_of_the_real_one(
    town: Town, outbox: Outbox
) -> None:
    town.trip(0, feeder="F1", switch="SW1")
    outbox.queue(at(6))
    send_all(outbox, 6)
    outage = town.value("SELECT id FROM oms_outage_events")
    town.rows("SELECT oms_topology.withdraw_outage(:id, NULL, 'none')", id=outage)
    assert town.outbox_rows() == []
    town.trip(2, feeder="F1")
    assert outbox.queue(at(8)) == 1
    assert town.told() == ["three"]
    assert town.told_of("F1") == ["one", "three", "two"]
    send_all(outbox, 8)
    town.restore(20, feeder="F1")
    town.restore(20, feeder="F1", switch="SW1")
    assert outbox.queue(at(21)) == 3


def test_a_later_fault_is_told_of_whatever_was_withdrawn_before(town: Town, outbox: Outbox) -> None:
    town.trip(0, feeder="F2")
    outbox.queue(at(6))
    send_all(outbox, 6)
    town.rows("SELECT oms_topology.withdraw_outage(id, NULL, 'none') FROM oms_outage_events")
    town.restore(7, feeder="F2")
    town.trip(60, feeder="F2")
    assert outbox.queue(at(70)) == 2


def test_in_a_storm_one_message_tells_of_all_outages_of_a_customer(town: Town, outbox: Outbox) -> None:
    town.rows("UPDATE oms_storm_mode_config SET is_active = true")
    town.trip(0, feeder="F2", switch="SW3")
    assert outbox.queue(at(6)) == 2
    send_all(outbox, 6)
    town.trip(8, feeder="F2")
    town.trip(8, feeder="F1")
    assert outbox.queue(at(14)) == 3
    assert town.told_of("F2") == ["five", "four"]
    town.trip(9, substation="SS1", feeder=None)
    assert outbox.queue(at(15)) == 0
    assert town.told_of("SS1") == ["five", "four", "one", "three", "two"]
    assert [message.areas for message in claim(outbox, 16).messages] == [("F1", "SS1")] * 3


def test_what_is_no_longer_true_is_not_sent(town: Town, outbox: Outbox) -> None:
    town.trip(0, feeder="F2")
    outbox.queue(at(6))
    town.restore(10, feeder="F2")
    assert claim(outbox, 11).messages == ()
    assert town.outbox_rows() == []
    assert outbox.queue(at(12)) == 0


def test_an_announcement_that_may_have_come_is_made_sure_of(town: Town, outbox: Outbox) -> None:
    town.trip(0, feeder="F2", switch="SW3")
    outbox.queue(at(6))
    lost = claim(outbox, 6)
    town.restore(10, feeder="F2", switch="SW3")
    assert claim(outbox, 10).messages == ()
    again = claim(outbox, 12)
    assert [each.message_id for each in again.messages] == [each.message_id for each in lost.messages]
    assert [each.attempts for each in again.messages] == [2, 2]
    assert outbox.settle(lost, [each.message_id for each in lost.messages]) == 0
    assert outbox.settle(again, [each.message_id for each in again.messages]) == 2
    assert outbox.queue(at(14)) == 2
    assert town.told("restored") == ["five", "four"]


def test_an_end_that_may_have_been_told_is_not_told_again_after_all(town: Town, outbox: Outbox) -> None:
    town.trip(0, feeder="F2")
    outbox.queue(at(6))
    send_all(outbox, 6)
    town.restore(20, feeder="F2")
    outbox.queue(at(21))
    assert len(claim(outbox, 21).messages) == 2
    town.rows("UPDATE oms_outage_events SET status = 'detected', actual_restoration_time = NULL")
    assert claim(outbox, 30).messages == ()
    town.rows("UPDATE oms_outage_events SET status = 'restored', actual_restoration_time = first_detected_at")
    assert outbox.queue(at(40)) == 0


def test_who_wants_no_messages_gets_none(town: Town, outbox: Outbox) -> None:
    town.rows(
        "INSERT INTO oms_topology.customer_contact (customer_id, channel)"
        " SELECT id, 'none' FROM oms_customers WHERE customer_id = 'four'"
    )
    town.trip(0, feeder="F2")
    assert outbox.queue(at(6)) == 1
    assert town.told() == ["five"]


def test_the_channel_is_that_of_the_customer(town: Town, outbox: Outbox) -> None:
    town.rows(
        "INSERT INTO oms_topology.customer_contact (customer_id, channel, address, language)"
        " SELECT id, 'email', 'four@example.org', 'ar' FROM oms_customers WHERE customer_id = 'four'"
    )
    town.trip(0, feeder="F2")
    outbox.queue(at(6))
    (mail,) = claim(outbox, 6, channel="email").messages
    (sms,) = claim(outbox, 6).messages
    assert (mail.language, sms.language) == ("ar", "en")
    assert outbox.recipients([mail.customer_id])[mail.customer_id].address == "four@example.org"


def test_what_an_old_service_told_is_not_told_again(town: Town, outbox: Outbox) -> None:
    town.trip(0, feeder="F2")
    town.rows(
        "INSERT INTO oms_customer_notifications"
        " (outage_event_id, customer_id, notification_type, channel, status)"
        " SELECT e.id, c.id, 'outage_detected', 'sms', 'sent'"
        " FROM oms_outage_events e, oms_customers c WHERE c.customer_id = 'four'"
    )
    assert outbox.queue(at(6)) == 1
    assert town.told() == ["five", "four"]


def test_a_channel_keeps_its_rate_whoever_sends(town: Town, outbox: Outbox) -> None:
    town.rows("UPDATE oms_topology.notification_channel SET per_minute = 1, burst = 2 WHERE channel = 'sms'")
    town.trip(0, substation="SS1", feeder=None)
    assert outbox.queue(at(6)) == 5
    assert len(claim(outbox, 6).messages) == 2
    assert len(claim(outbox, 6).messages) == 0
    assert len(claim(outbox, 7).messages) == 1
    assert len(claim(outbox, 30).messages) == 2


def test_a_message_that_is_put_off_comes_when_it_is_due(town: Town, outbox: Outbox) -> None:
    town.trip(0, feeder="F2", switch="SW3")
    outbox.queue(at(6))
    first = claim(outbox, 6, most=1)
    later = [Postponement(each.message_id, at(9), "busy") for each in first.messages]
    assert outbox.postpone(first, later, counts=False) == 1
    assert len(claim(outbox, 8).messages) == 1
    again = claim(outbox, 9)
    assert [each.attempts for each in again.messages] == [1]


def test_a_dead_letter_names_the_message_and_the_reason_and_nobody(town: Town, outbox: Outbox) -> None:
    town.trip(0, feeder="F2")
    outbox.queue(at(6))
    claimed = claim(outbox, 6)
    assert outbox.bury(claimed, {each.message_id: "no such number" for each in claimed.messages}) == 2
    letters = town.rows(
        "SELECT source, field, reason, convert_from(payload, 'UTF8') FROM oms_topology.dead_letter"
    )
    assert {letter[:3] for letter in letters} == {("notification", "sms", "no such number")}
    assert not any("964" in letter[3] or "street" in letter[3] or "five" in letter[3] for letter in letters)
    assert {status for _, _, status in town.outbox_rows()} == {"failed"}
    town.restore(20, feeder="F2")
    assert outbox.queue(at(21)) == 0


def test_an_arrival_is_noted_whenever_it_is_reported(town: Town, outbox: Outbox) -> None:
    town.trip(0, feeder="F2")
    outbox.queue(at(6))
    claimed = claim(outbox, 6)
    early, late = (each.message_id for each in claimed.messages)
    engine = town.database.engine
    assert mark_delivered(engine, early, at(7))
    assert outbox.settle(claimed, [early, late], at=at(8)) == 1
    assert mark_delivered(engine, late, at(9))
    assert mark_delivered(engine, late, at(30))
    assert not mark_delivered(engine, uuid4(), at(9))
    rows = town.rows(
        "SELECT status, sent_at, delivered_at FROM oms_customer_notifications ORDER BY delivered_at"
    )
    assert rows == [("delivered", at(7), at(7)), ("delivered", at(8), at(9))]


def onu(kind: str, minute: float, meters: list[str]) -> tuple[str, dict[str, Any]]:
    when = at(minute).isoformat()
    return "onu", {"onuId": 1, "type": kind, "timestamp": when, "associatedMeters": meters}


def test_the_customer_of_a_meter_that_is_out_alone_is_told(town: Town, outbox: Outbox) -> None:
    neighbours = [f"N{number}" for number in range(40)]
    for number in neighbours:
        town.rows(
            "INSERT INTO oms_meters (meter_number, dp_id)"
            " SELECT :number, id FROM network_distribution_points WHERE dp_id = 'DP3'", number=number,
        )  # fmt: skip
    with Pipeline(town.database) as pipeline:
        pipeline.handle_batch(
            [onu("ONU_PowerRestored", 0.5, neighbours), onu("ONU_LastGaspAlert", 1, ["M7"])]
        )
    with OutageWorker(town.database, clock=lambda: at(20)) as worker:
        worker.drain()
    assert town.column("SELECT code FROM oms_topology.outage_blame") == ["M7"]
    town.rows("UPDATE oms_outage_events SET confidence_score = 0.9")
    assert outbox.queue(at(20)) == 1
    assert town.told() == ["five"]
    (message,) = claim(outbox, 20).messages
    assert message.areas
