"""The story of docs/outage-story.md: its rows at each step; and the order of its messages is of no account.

Two orders by default; ``OMS_TOPOLOGY_TEST_STORY_ORDERS=20`` is the long run.
"""

from __future__ import annotations

import os
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from oms_topology import OutageWorker, Pipeline
from tests.acceptance.outage_story import STORY, network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from oms_topology.persistence.database import Database

ORDERS = int(os.environ.get("OMS_TOPOLOGY_TEST_STORY_ORDERS", "2"))
PAGE = Path(__file__).parents[2] / "docs" / "outage-story.md"
OUTAGES = """
    SELECT d.code, e.status, e.severity, e.confidence_score, e.affected_customers_count,
           to_char(e.first_detected_at AT TIME ZONE 'UTC', 'HH24:MI:SS'),
           COALESCE(to_char(e.actual_restoration_time AT TIME ZONE 'UTC', 'HH24:MI:SS'), ''), o.origin,
           cardinality(i.still_dark_meters),
           (SELECT string_agg(s.source_type || ' ' || s.reports, ', ' ORDER BY s.source_type)
            FROM (SELECT source_type, count(*) AS reports FROM oms_event_sources s
                  WHERE s.outage_event_id = e.id GROUP BY source_type) s)
    FROM oms_outage_events e
    JOIN oms_topology.outage_inference i ON i.outage_event_id = e.id
    JOIN oms_topology.outage_device o ON o.outage_event_id = e.id
    JOIN oms_topology.device d ON d.device_no = o.device_no
    ORDER BY e.first_detected_at, d.depth
"""
HEADINGS = (
    "device", "status", "severity", "confidence", "customers", "from", "until", "origin", "still dark",
    "sources",
)  # fmt: skip
TIMELINE = """
    SELECT to_char(t."timestamp" AT TIME ZONE 'UTC', 'HH24:MI:SS'), d.code, t.event_type, t.source,
           t.description
    FROM oms_event_timeline t
    JOIN oms_topology.outage_device o USING (outage_event_id) JOIN oms_topology.device d USING (device_no)
    ORDER BY t."timestamp", d.depth, t.event_type, t.description
"""
REVISIONS = """
    SELECT r.outage ->> 'event_id', r.outage ->> 'root_cause', r.reason,
           COALESCE(e.event_id, n.outage ->> 'event_id')
    FROM oms_topology.outage_revision r
    LEFT JOIN oms_outage_events e ON e.id = r.superseded_by
    LEFT JOIN oms_topology.outage_revision n ON n.outage_event_id = r.superseded_by
    ORDER BY 1
"""
STATE = (
    """
    SELECT d.code, e.event_id, e.event_type, e.status, e.severity, e.confidence_score,
           e.affected_customers_count, e.first_detected_at, e.actual_restoration_time, e.root_cause,
           e.description, e.affected_area_geojson,
           e.event_latitude, e.event_longitude, s.substation_id, f.feeder_id, p.dp_id, o.origin, i.posterior,
           i.dead_posterior, i.alternatives, i.reasons, i.still_dark_meters, i.restoration_steps, u.event_id
    FROM oms_outage_events e
    JOIN oms_topology.outage_inference i ON i.outage_event_id = e.id
    JOIN oms_topology.outage_device o ON o.outage_event_id = e.id
    JOIN oms_topology.device d ON d.device_no = o.device_no
    LEFT JOIN network_substations s ON s.id = e.substation_id
    LEFT JOIN network_feeders f ON f.id = e.feeder_id
    LEFT JOIN network_distribution_points p ON p.id = e.dp_id
    LEFT JOIN oms_outage_events u ON u.id = i.surfaced_from
    ORDER BY e.event_id
    """,
    """
    SELECT e.event_id, s.source_type, s.source_table, s.correlation_weight, s.detected_at, g.source_event_id
    FROM oms_event_sources s JOIN oms_outage_events e ON e.id = s.outage_event_id
    JOIN oms_topology.signal g ON s.source_event_id IN (g.record_id, g.source_event_id)
    ORDER BY 1, 2, 6
    """,
)


class Morning:
    """A database with the network of the story, a pipeline, and a worker whose clock the story sets."""

    def __init__(self, database: Database) -> None:
        self.database = database
        database.store_network(network())
        self.now = STORY[-1].at
        self.pipeline = Pipeline(database)
        self.worker = OutageWorker(database, clock=lambda: self.now)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with self.database.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(statement))]

    def state(self) -> list[list[tuple[Any, ...]]]:
        return [self.rows(statement) for statement in STATE]

    def close(self) -> None:
        self.worker.close()
        self.pipeline.close()


@pytest.fixture
def mornings(database_factory: Callable[..., Database]) -> Iterator[Callable[[], Morning]]:
    made: list[Morning] = []

    def make() -> Morning:
        made.append(Morning(database_factory(upgraded=True)))
        return made[-1]

    yield make
    for morning in made:
        morning.close()


def drawn(headings: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def test_the_story_is_as_it_is_told_and_any_order_ends_the_same(mornings: Callable[[], Morning]) -> None:
    told = PAGE.read_text(encoding="utf-8")
    morning = mornings()
    for step in STORY:
        morning.pipeline.handle_batch(step.messages)
        morning.now = step.at
        morning.worker.drain()
        rows = drawn(HEADINGS, morning.rows(OUTAGES))
        assert f"{step.title}\n\n" in told
        assert rows in told.partition(f"{step.title}\n\n")[2], rows
    timeline = drawn(("at", "device", "event", "source", "description"), morning.rows(TIMELINE))
    assert timeline in told, timeline
    revisions = drawn(("withdrawn", "it was", "why", "superseded by"), morning.rows(REVISIONS))
    assert revisions in told, revisions
    in_order = morning.state()

    messages = [message for step in STORY for message in step.messages]
    for seed in range(ORDERS):
        random, shuffled = Random(seed), mornings()
        coming = [*messages, *random.sample(messages, len(messages) // 4)]
        random.shuffle(coming)
        while coming:
            some = random.randint(1, 20)
            shuffled.pipeline.handle_batch(coming[:some])
            del coming[:some]
            if random.random() < 0.5:
                shuffled.worker.drain()
        shuffled.worker.drain()
        assert shuffled.state() == in_order, f"seed {seed}"
