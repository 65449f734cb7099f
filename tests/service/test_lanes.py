"""A batch over several connections: the same rows and receipts as over one, and nothing half told."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import pytest

from oms_topology import Pipeline
from oms_topology.errors import StoreError
from oms_topology.model import Receipt, StreamPosition
from oms_topology.persistence.stream_positions import positions_of
from oms_topology.service.intake import Intake
from tests.acceptance.final_state import final_state
from tests.acceptance.provider_streams import TOWN, ProviderStreams
from tests.acceptance.scada_grid import Grid, at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from oms_topology.persistence.database import Database
    from oms_topology.persistence.store import Store

POSITION = StreamPosition("group", "topic", 0, 17)


def messages() -> list[tuple[str, bytes]]:
    streams = ProviderStreams(11)
    made = [
        (provider, message)
        for provider, count in (("scada", 20), ("onu", 160), ("kaifa", 130), ("call_center", 40))
        for message in streams.some(provider, count)
    ]
    Random(2).shuffle(made)
    return made


def taken_in(database: Database, lanes: int) -> tuple[list[Receipt], object]:
    Grid(database, TOWN)
    with Pipeline(database, lanes=lanes) as pipeline:
        receipts = pipeline.handle_batch(messages(), received_at=at(700), positions=[POSITION])
    assert positions_of(database.engine, "group", "topic") == (POSITION,)
    told = [
        # Numbers of rows differ, and with them what is new; one of several alike is.
        replace(
            receipt, source_record_id=None, dead_letter_id=None, outage_event_id=None, outage_event_ids=()
        )
        for receipt in receipts
    ]
    return told, final_state(database)


def test_several_lanes_record_what_one_records(database_factory: Callable[..., Database]) -> None:
    one, several = (taken_in(database_factory(upgraded=True), lanes) for lanes in (1, 3))
    assert several == one


def test_a_lane_that_fails_fails_the_batch_and_no_position_is_told(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    Grid(database, TOWN)
    recorded_by, at_work = Intake.recorded_by, []

    def failing(
        intake: Intake, store: Store, positions: Sequence[StreamPosition] = ()
    ) -> tuple[Receipt, ...]:
        if intake.source == "kaifa" and "M0922" in intake.messages.device_codes:
            raise StoreError("22003")
        at_work.append(intake)
        try:
            return recorded_by(intake, store, positions)
        finally:
            at_work.remove(intake)

    with Pipeline(database, lanes=3) as pipeline:
        monkeypatch.setattr(Intake, "recorded_by", failing)
        with pytest.raises(StoreError):
            pipeline.handle_batch(messages(), received_at=at(700), positions=[POSITION])
        assert not at_work
        assert positions_of(database.engine, "group", "topic") == ()
        monkeypatch.undo()
        again = pipeline.handle_batch(messages(), received_at=at(700), positions=[POSITION])
        assert any(receipt.duplicate for receipt in again)
        assert positions_of(database.engine, "group", "topic") == (POSITION,)
