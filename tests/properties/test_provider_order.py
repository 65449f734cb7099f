"""Order freedom of all four providers: any order, any batches, the same status, history and outages.

What a set of messages means is computed by an oracle in Python (:mod:`tests.properties.provider_reports`),
and by the package's own fold without a database; PostgreSQL gets the set twice, shuffled, with repetitions
and cut into batches.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oms_topology import Pipeline, Topology
from tests.acceptance.scada_grid import NETWORK, Grid, at
from tests.properties.provider_reports import (
    REGISTRY,
    ProviderOracle,
    Request,
    Spoken,
    empty_statuses,
    signals_of,
    spoken_sets,
    told_by,
)
from tests.properties.test_scada_order import Said

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from oms_topology.persistence.database import Database
    from tests.servers import LiveServer

EXAMPLES = 500 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 25
REQUEST = """
    SELECT update_meter_status(:meter, :status, :kind, :source, :key, CAST(:at AS timestamptz))
"""
STATUS = (
    "power_status", "last_power_change", "communication_status", "last_communication", "last_status_change",
)  # fmt: skip
RANDOM = [
    "id", "event_id", "substation_id", "feeder_id", "dp_id", "created_at", "updated_at", "last_updated_at",
    "meters_checked_at",
]  # fmt: skip
DERIVED = ("own_power_status", "own_power_at", "supply_lost_at", "supply_live_at IS NOT NULL")


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[list[list[Spoken | Said]]], int]:
    """One set of messages in two orders, some of them repeated, each cut into batches."""
    messages, received = draw(spoken_sets(least=draw(st.sampled_from([1, 10]))))
    orders = []
    for _ in range(2):
        order = draw(st.permutations([*messages, *draw(st.lists(st.sampled_from(messages), max_size=4))]))
        cuts = sorted(draw(st.sets(st.integers(1, len(order)))) | {0, len(order)})
        orders.append([order[a:b] for a, b in pairwise(cuts)])
    return orders, received


@pytest.fixture(scope="module")
def network(pg_server: LiveServer) -> Iterator[Network]:
    made = Network(pg_server)
    yield made
    made.close()


class Network:
    """Databases with the same network, one for each order."""

    def __init__(self, server: LiveServer) -> None:
        self._server = server
        self._made: list[Database] = []

    def fresh(self) -> Grid:
        self._made.append(self._server.create(upgraded=True))
        self._made[-1].store_network(Topology.from_text(NETWORK))
        grid = Grid(self._made[-1], "")
        for statement in REGISTRY.split(";"):
            grid.rows(statement)
        return grid

    def close(self) -> None:
        while self._made:
            self._server.drop(self._made.pop())


def message_of(said: Spoken | Said) -> tuple[str, str]:
    if isinstance(said, Said):
        return "scada", json.dumps(said.message)
    return said.source, json.dumps(said.payload)


def deliver(grid: Grid, batches: Sequence[Sequence[Spoken | Said]], received_at: datetime) -> None:
    with Pipeline(grid.database) as pipeline:
        for batch in batches:
            receipts = pipeline.handle_batch(
                [message_of(said) for said in batch if not isinstance(said, Request)], received_at=received_at
            )
            assert all(receipt.accepted for receipt in receipts)
            for said in batch:
                if isinstance(said, Request):
                    grid.rows(REQUEST, **said.payload)


def status_of(grid: Grid, columns: Sequence[str]) -> dict[str, dict[str, Any]]:
    rows = grid.rows(f"SELECT meter_number, {', '.join(columns)} FROM oms_meters")
    return {number: dict(zip(columns, values, strict=True)) for number, *values in rows}


def history_of(grid: Grid, view: str) -> list[tuple[Any, ...]]:
    return grid.rows(
        f"SELECT m.meter_number, h.event_timestamp, h.new_status FROM oms_topology.{view} h"
        " JOIN oms_meters m ON m.id = h.meter_id ORDER BY 1, 2"
    )


def state_of(grid: Grid) -> dict[str, Any]:
    """Everything that must not depend on the order, and that the oracle does not tell."""
    return {
        "derived": status_of(grid, DERIVED),
        "outages": grid.rows(
            """
            SELECT d.code, to_jsonb(e) - CAST(:random AS text[]),
                   o.started_at, o.ended_at,
                   (SELECT array_agg(g.source_event_id ORDER BY g.source_event_id)
                    FROM oms_event_sources s JOIN oms_topology.signal g ON g.record_id = s.source_event_id
                    WHERE s.outage_event_id = e.id)
            FROM oms_outage_events e
            JOIN oms_topology.outage_device o ON o.outage_event_id = e.id
            JOIN oms_topology.device d ON d.device_no = o.device_no
            ORDER BY d.code COLLATE "C", o.started_at
            """,
            random=RANDOM,
        ),
        "signals": grid.rows(
            "SELECT source, source_event_id, content_hash, power_status, occurred_at, time_is_sound"
            " FROM oms_topology.signal ORDER BY 1, 2, 3"
        ),
        "tickets": grid.rows(
            "SELECT t.external_ticket_id, t.status, c.meter_number, m.meter_number"
            " FROM callcenter_tickets t JOIN callcenter_customers c ON c.ticket_id = t.id"
            " LEFT JOIN oms_meters m ON m.id = c.meter_id ORDER BY 1, 3"
        ),
        "onus": grid.rows("SELECT id, onu_power_flag, onu_power_flag_date FROM onus ORDER BY 1"),
        "provisional": grid.rows(
            "SELECT m.meter_number FROM oms_topology.provisional_meter p"
            " JOIN oms_meters m ON m.meter_no = p.meter_no ORDER BY 1"
        ),
        "letters": grid.value("SELECT count(*) FROM oms_topology.dead_letter"),
    }  # fmt: skip


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(deliveries())
def test_any_order_in_any_batches_gives_what_the_set_means(
    network: Network, given_orders: tuple[list[list[list[Spoken | Said]]], int]
) -> None:
    orders, received = given_orders
    messages = [said for batch in orders[0] for said in batch]
    oracle, folded = ProviderOracle(messages, at(received)), empty_statuses()
    for said in messages:
        folded.update(signals_of(said, at(received)))
    try:
        states = []
        for batches in orders:
            grid = network.fresh()
            deliver(grid, batches, at(received))
            stored = status_of(grid, STATUS)
            assert stored == {meter: oracle.status(meter) for meter in oracle.meters}
            assert stored == {meter: told_by(folded.status(meter)) for meter in stored}
            assert history_of(grid, "meter_power_history") == history(oracle.changes, oracle.meters)
            assert history_of(grid, "meter_communication_history") == history(
                oracle.link_changes, oracle.meters
            )
            states.append(state_of(grid))
        assert states[0] == states[1]
    finally:
        network.close()


def history(changes: Any, meters: set[str]) -> list[tuple[Any, ...]]:
    return [(meter, when, status) for meter in sorted(meters) for when, status in changes(meter)]


@settings(max_examples=30 if EXAMPLES > 100 else 3, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_batches_at_once_on_four_threads_never_lock_each_other_out(
    network: Network, data: st.DataObject
) -> None:
    messages, received = data.draw(spoken_sets(least=40, most=60))
    parsed = [said for said in messages if not isinstance(said, Request)]
    shares = [data.draw(st.permutations(parsed)) for _ in range(4)]
    cut = data.draw(st.integers(1, 20))
    oracle = ProviderOracle(parsed, at(received))
    start = Barrier(4)
    try:
        sequential, grid = network.fresh(), network.fresh()
        deliver(sequential, [parsed], at(received))

        def send(share: list[Spoken | Said]) -> None:
            start.wait(30)
            deliver(grid, [share[place : place + cut] for place in range(0, len(share), cut)], at(received))

        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(send, share) for share in shares]:
                done.result()  # a deadlock is a ConflictError
        assert status_of(grid, STATUS) == {meter: oracle.status(meter) for meter in oracle.meters}
        assert state_of(grid) == state_of(sequential)
    finally:
        network.close()
