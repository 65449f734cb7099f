"""Whatever the order of arrival: the same reports give the same status, history and outages.

An oracle written from the decisions alone (paths, dead intervals, covered outages) judges a set of reports
in Python; PostgreSQL gets them one by one, in any order, some of them twice.
"""

from __future__ import annotations

import itertools
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from threading import Barrier
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oms_topology import Topology
from oms_topology.events.json_text import content_hash
from tests.acceptance.scada_grid import NETWORK, at, event, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.servers import LiveServer

EXAMPLES = 2000 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 80

PARENT = {"F1": "SS1", "F2": "SS1", "DP1": "F1", "DP2": "F1", "DP3": "F2", "F3": "SS2", "DP4": "F3"}
SUPPLIES = {
    "M1": ("DP1", "F3"), "M2": ("DP1",), "M3": ("DP1",), "M4": ("DP2", "F3"), "M5": ("DP2",),
    "M6": ("DP3",), "M7": ("DP3",), "M8": ("DP4",), "M9": ("DP4",),
}  # fmt: skip
NAMES = {
    "SS1": {"substation": "SS1"}, "SS2": {"substation": "SS2"},
    "F1": {"feeder": "F1"}, "F2": {"feeder": "F2"}, "F3": {"feeder": "F3", "substation": "SS2"},
    "DP1": {"switch": "SW1"}, "DP2": {"switch": "SW2"}, "DP3": {"switch": "SW3"},
}  # fmt: skip
RELIABILITY = {"kaifa": 4, "onu": 3}
FOREVER = at(10**6)


@dataclass(frozen=True)
class Said:
    """One report of a device about itself."""

    device: str
    is_dead: bool
    minute: int
    reason: str = "first"
    is_sound: bool = True

    @property
    def when(self) -> datetime:
        return at(self.minute)

    @property
    def message(self) -> dict[str, Any]:
        made = event(
            **NAMES[self.device],
            minute=self.minute,
            alarm="De-energized" if self.is_dead else "Energized",
            reason=self.reason,
        )
        return made if self.is_sound else made | {"timestamp": f"1990-01-01T00:00:{self.minute:02d}Z"}

    @property
    def rank(self) -> str:
        return "sha256:" + content_hash(self.message)


@dataclass(frozen=True)
class Own:
    """One report of a meter about itself."""

    meter: str
    is_off: bool
    minute: int
    source: str = "onu"

    @property
    def when(self) -> datetime:
        return at(self.minute)

    @property
    def key(self) -> str:
        return f"{self.source}-{self.meter}-{self.is_off}-{self.minute}"


class Oracle:
    """What a set of reports means."""

    def __init__(self, reports: Sequence[Said | Own]) -> None:
        self.own = {r for r in reports if isinstance(r, Own)}
        said = {r for r in reports if isinstance(r, Said)}
        sound_from = {
            d: min((r.when for r in said if r.device == d and r.is_sound), default=FOREVER) for d in NAMES
        }
        standing = [r for r in said if r.is_sound or r.when < sound_from[r.device]]
        self.reports: dict[str, list[Said]] = {}
        for (device, _), same in itertools.groupby(
            sorted(standing, key=lambda r: (r.device, r.when, r.rank)), key=lambda r: (r.device, r.when)
        ):
            self.reports.setdefault(device, []).append(list(same)[-1])

    def latest(self, device: str, when: datetime) -> Said | None:
        return next((r for r in reversed(self.reports.get(device, [])) if r.when <= when), None)

    def lost_at(self, supply: str, when: datetime) -> datetime | None:
        """Newest report of loss that nothing nearer to the meter has outdated."""
        lost, live_below = None, datetime.min.replace(tzinfo=when.tzinfo)
        for device in chain(supply):
            report = self.latest(device, when)
            if report is None:
                continue
            if not report.is_dead:
                live_below = max(live_below, report.when)
            elif live_below <= report.when:
                lost = max(lost, report.when) if lost else report.when
        return lost

    def supply_lost_at(self, meter: str, when: datetime) -> datetime | None:
        losses = [self.lost_at(supply, when) for supply in SUPPLIES[meter]]
        return max(filter(None, losses)) if all(losses) else None

    def power(self, meter: str, when: datetime) -> str:
        lost = self.supply_lost_at(meter, when)
        own = max(
            (r for r in self.own if r.meter == meter and r.when <= when),
            key=lambda r: (r.when, RELIABILITY[r.source], r.key),
            default=None,
        )
        if lost and not (own and not own.is_off and own.when > lost):
            return "off"
        if own:
            return "off" if own.is_off else "on"
        above = [r for supply in SUPPLIES[meter] for d in chain(supply) for r in self.reports.get(d, [])]
        return "on" if any(r.when <= when and not r.is_dead for r in above) else "unknown"

    def changes(self, meter: str) -> list[tuple[datetime, str]]:
        instants = {r.when for r in self.own} | {r.when for rs in self.reports.values() for r in rs}
        found, before = [], "unknown"
        for when in sorted(instants):
            now = self.power(meter, when)
            if now != before:
                found.append((when, now))
            before = now
        return found

    def dead_intervals(self, device: str) -> list[tuple[datetime, datetime]]:
        found: list[tuple[datetime, datetime]] = []
        began = None
        for report in self.reports.get(device, []):
            if report.is_dead and began is None:
                began = report.when
            elif not report.is_dead and began is not None:
                found.append((began, report.when))
                began = None
        return [*found, (began, FOREVER)] if began else found

    def outages(self) -> dict[tuple[str, datetime], dict[str, Any]]:
        kept = {}
        for device in NAMES:
            above = [i for upper in chain(device)[1:] for i in self.dead_intervals(upper)]
            for began, ended in self.dead_intervals(device):
                if not covered(began, ended, above):
                    kept[device, began] = ended
        sources: dict[tuple[str, datetime], set[tuple[str, datetime]]] = {key: set() for key in kept}
        for device, reports in self.reports.items():
            for report in (r for r in reports if r.is_dead):
                holding = [
                    (upper, began)
                    for upper in reversed(chain(device))
                    for (owner, began), ended in kept.items()
                    if owner == upper and began <= report.when < ended
                ]
                for key in {*holding[:1], *(k for k in holding if k[0] == device)}:
                    sources[key].add((device, report.when))
        return {
            (device, began): {
                "ended": None if ended == FOREVER else ended,
                "status": "detected" if ended == FOREVER else "restored",
                "customers": self.customers(device, began),
                "reason": next(r.reason for r in self.reports[device] if r.when == began),
                "sources": sources[device, began],
            }
            for (device, began), ended in kept.items()
        }

    def customers(self, device: str, when: datetime) -> int:
        return sum(
            any(device in chain(supply) for supply in supplies)
            and (len(supplies) == 1 or self.supply_lost_at(meter, when) is not None)
            for meter, supplies in SUPPLIES.items()
        )


def chain(device: str) -> list[str]:
    """The device and all above it, nearest first."""
    found = [device]
    while found[-1] in PARENT:
        found.append(PARENT[found[-1]])
    return found


def covered(began: datetime, ended: datetime, covers: list[tuple[datetime, datetime]]) -> bool:
    for start, end in sorted(covers):
        if start <= began < end:
            began = end
        if began >= ended:
            return True
    return False


@pytest.fixture(scope="module")
def connection(pg_server: LiveServer) -> Iterator[psycopg.Connection[Any]]:
    database = pg_server.create(upgraded=True)
    database.store_network(Topology.from_text(NETWORK))
    url = database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, options="-c timezone=UTC") as opened:
        yield opened
        opened.rollback()
    pg_server.drop(database)


def deliver(connection: psycopg.Connection[Any], report: Said | Own) -> bool:
    """Hand one report in; tell whether it was known already."""
    if isinstance(report, Own):
        say(
            connection, [report.meter], "off" if report.is_off else "on", report.when,
            source=report.source, event_id=report.key,
        )  # fmt: skip
        return False
    received = report.when if not report.is_sound else at(30)
    message = json.dumps(report.message)
    row = connection.execute(
        """
        SELECT oms_topology.record_scada(oms_topology.parse_scada(m, r), m, r)
        FROM (SELECT %s::jsonb AS m, %s::timestamptz AS r) x
        """,
        (message, received),
    ).fetchone()
    assert row is not None
    assert row[0].get("dead_letter_id") is None, row[0]
    return bool(row[0]["duplicate"])


def observed(connection: psycopg.Connection[Any]) -> dict[str, Any]:
    meters = connection.execute(
        "SELECT meter_number, power_status, last_power_change FROM oms_meters"
    ).fetchall()
    history = connection.execute(
        """
        SELECT m.meter_number, h.event_timestamp, h.new_status
        FROM oms_topology.meter_power_history h JOIN oms_meters m ON m.id = h.meter_id
        ORDER BY m.meter_number, h.event_timestamp
        """
    ).fetchall()
    outages = connection.execute(
        """
        SELECT d.code, e.first_detected_at, e.actual_restoration_time, e.status, e.affected_customers_count,
               e.description, o.started_at = e.first_detected_at
               AND o.ended_at IS NOT DISTINCT FROM e.actual_restoration_time,
               (SELECT array_agg(v.code || ' ' || g.occurred_at) FROM oms_event_sources s
                JOIN oms_topology.signal g ON g.record_id = s.source_event_id
                JOIN oms_topology.device v ON v.device_no = g.device_no WHERE s.outage_event_id = e.id)
        FROM oms_outage_events e
        JOIN oms_topology.outage_device o ON o.outage_event_id = e.id
        JOIN oms_topology.device d ON d.device_no = o.device_no
        """
    ).fetchall()
    assert all(row[6] for row in outages)
    return {
        "power": {number: (status, since) for number, status, since in meters},
        "history": [tuple(row) for row in history],
        "outages": {
            (code, began): {
                "ended": ended, "status": status, "customers": customers,
                "reason": text.rsplit(". ", 1)[1], "sources": set(sources or []),
            }
            for code, began, ended, status, customers, text, _, sources in outages
        },
    }  # fmt: skip


def expected(oracle: Oracle) -> dict[str, Any]:
    changes = {meter: oracle.changes(meter) for meter in SUPPLIES}
    outages = oracle.outages()
    for outage in outages.values():
        outage["sources"] = {f"{device} {when:%Y-%m-%d %H:%M:%S}+00" for device, when in outage["sources"]}
    return {
        "power": {
            meter: (found[-1][1], found[-1][0]) if found else ("unknown", None)
            for meter, found in changes.items()
        },
        "history": [
            (meter, when, status) for meter, found in sorted(changes.items()) for when, status in found
        ],
        "outages": outages,
    }


minutes = st.integers(1, 12)
said = st.builds(
    Said, st.sampled_from(sorted(NAMES)), st.booleans(), minutes, st.sampled_from(["first", "second"]),
    st.sampled_from([True, True, True, True, False]),
)  # fmt: skip
own = st.builds(
    Own,
    st.sampled_from(["M1", "M2", "M3", "M4", "M8"]),
    st.booleans(),
    minutes,
    st.sampled_from(["onu", "kaifa"]),
)


@st.composite
def arrivals(draw: st.DrawFn) -> list[Said | Own]:
    reports = draw(st.lists(st.one_of(said, said, own), min_size=1, max_size=14, unique=True))
    again = draw(st.lists(st.sampled_from(reports), max_size=3))
    return draw(st.permutations([*reports, *again]))


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(arrivals())
def test_any_order_of_arrival_gives_what_the_set_of_reports_means(
    connection: psycopg.Connection[Any], reports: list[Said | Own]
) -> None:
    seen: set[Said | Own] = set()
    try:
        for report in reports:
            if not (isinstance(report, Own) and report in seen):
                assert deliver(connection, report) is (report in seen)
            seen.add(report)
        assert observed(connection) == expected(Oracle(reports))
    finally:
        connection.rollback()


@settings(max_examples=60 if EXAMPLES > 1000 else 6, deadline=None, suppress_health_check=list(HealthCheck))
@given(reports=st.lists(st.one_of(said, said, own), min_size=8, max_size=20, unique=True))
def test_arrival_at_once_on_many_connections_gives_the_same(
    pg_server: LiveServer, reports: list[Said | Own]
) -> None:
    database = pg_server.create(upgraded=True)
    try:
        database.store_network(Topology.from_text(NETWORK))
        url = database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        start = Barrier(4)

        def send(share: list[Said | Own]) -> None:
            with psycopg.connect(url, options="-c timezone=UTC") as opened:
                start.wait(30)
                for report in share:
                    deliver(opened, report)
                    opened.commit()

        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(send, reports[number::4]) for number in range(4)]:
                done.result()
        with psycopg.connect(url, options="-c timezone=UTC") as opened:
            assert observed(opened) == expected(Oracle(reports))
    finally:
        pg_server.drop(database)
