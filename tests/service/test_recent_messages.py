"""A second delivery of what was recorded lately: the same answer as the inbox gives, and nothing written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from oms_topology import Pipeline
from oms_topology.model import Receipt
from oms_topology.service.recent import RecentMessages
from tests.acceptance.scada_grid import Grid, at
from tests.persistence.contract_functions import payload

if TYPE_CHECKING:
    from oms_topology.persistence.database import Database
    from oms_topology.service.intake import Payload

MESSAGES: list[tuple[str, bytes]] = [
    ("onu", json.dumps(payload("onu_last_gasp.kafka")).encode()),
    ("kaifa", json.dumps(payload("kaifa_power_outage.function")).encode()),
    ("call_center", json.dumps(payload("callcenter_ticket.function")).encode()),
]


@pytest.mark.parametrize("one_by_one", [True, False])
def test_a_further_delivery_is_told_what_the_inbox_would_tell(
    database: Database, *, one_by_one: bool
) -> None:
    with Pipeline(database) as pipeline, Pipeline(database) as other:

        def take_in(taker: Pipeline) -> tuple[Receipt, ...]:
            if one_by_one:
                return tuple(taker.handle(*message, received_at=at(5)) for message in MESSAGES)
            return taker.handle_batch(MESSAGES, received_at=at(5))

        first, again, elsewhere = take_in(pipeline), take_in(pipeline), take_in(other)
        assert [receipt.duplicate for receipt in first] == [False] * 3
        assert again == elsewhere
        assert [receipt.duplicate for receipt in again] == [True] * 3


def test_what_could_not_be_used_is_looked_at_again(database: Database) -> None:
    grid = Grid(database)
    with Pipeline(database) as pipeline:
        for _ in range(2):
            assert not pipeline.handle("onu", b'{"event": ').accepted
            assert not pipeline.handle_batch([("onu", b'{"event": ')])[0].accepted
    assert grid.column("SELECT deliveries FROM oms_topology.dead_letter") == [4]


def test_other_bytes_of_the_same_event_are_left_to_the_inbox(database: Database) -> None:
    source, text = MESSAGES[0]
    with Pipeline(database) as pipeline:
        pipeline.handle(source, text)
        assert pipeline.handle(source, text.decode() + " ").duplicate
        assert not pipeline.handle(source, text.decode().replace("LastGasp", "PowerRestored")).duplicate


def test_the_oldest_are_forgotten_first() -> None:
    recent = RecentMessages(capacity=3)
    keys = [recent.key_of("onu", b"%d" % number) for number in range(5)]
    for number, key in enumerate(keys):
        recent.remember(key, Receipt(total_meters=number))
    told = [recent.recall(key) for key in keys]
    assert told[:2] == [None, None]
    assert told[2:] == [Receipt(total_meters=number, duplicate=True) for number in (2, 3, 4)]


def test_each_provider_has_its_own_messages_and_a_breakers_are_not_kept() -> None:
    recent = RecentMessages()
    unknown: list[tuple[str, Payload]] = [("scada", b"{}"), ("onu", {})]
    for source, message in [("onu", b"{}"), *unknown]:
        recent.remember(recent.key_of(source, message), Receipt())
    assert recent.recall(recent.key_of("onu", "{}")) == Receipt(duplicate=True)
    for source, message in [("kaifa", b"{}"), *unknown]:
        assert recent.recall(recent.key_of(source, message)) is None
