"""The persisted preorder is the image of the tables: after any changes, seen by any session, by the index.

What it must be is worked out here from the tables alone, one walk up from every meter.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from psycopg import sql
from psycopg.types.json import Jsonb

from oms_topology import Topology

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oms_topology.persistence.database import Database
    from tests.servers import LiveServer

Place = tuple[str, str]
Ranges = dict[tuple[Place, bool], set[str]]
Session = psycopg.Connection[Any]

# -- the tables, walked by hand

CONTRACT_PARENTS = """
    SELECT 'substation', substation_id, NULL, NULL FROM network_substations
    UNION ALL
    SELECT 'feeder', f.feeder_id, 'substation', s.substation_id
    FROM network_feeders f JOIN network_substations s ON s.id = f.substation_id
    UNION ALL
    SELECT 'distribution_point', p.dp_id, 'feeder', f.feeder_id
    FROM network_distribution_points p JOIN network_feeders f ON f.id = p.feeder_id
"""
GIVEN_PARENTS = """
    SELECT d.kind, d.code, p.kind, p.code
    FROM oms_topology.device d LEFT JOIN oms_topology.device p ON p.device_no = d.parent_no
    WHERE d.parent_is_explicit
"""
METERS = """
    SELECT m.meter_number, s.substation_id, f.feeder_id, p.dp_id, pf.feeder_id,
           COALESCE(d.is_surveyed, false)
    FROM oms_meters m
    LEFT JOIN network_substations s ON s.id = m.substation_id
    LEFT JOIN network_feeders f ON f.id = m.feeder_id
    LEFT JOIN network_distribution_points p ON p.id = m.dp_id
    LEFT JOIN network_feeders pf ON pf.id = p.feeder_id
    LEFT JOIN oms_topology.device d ON d.kind = 'distribution_point' AND d.code = p.dp_id
    WHERE m.status IS NULL OR m.status = 'active'
"""
GIVEN_DEVICES = """
    SELECT m.meter_number, d.kind, d.code
    FROM oms_meters m JOIN oms_topology.device d USING (device_no) WHERE m.device_is_explicit
"""
FEEDER_MAPPINGS = """
    SELECT m.meter_number, f.feeder_id
    FROM network_feeder_meters x
    JOIN oms_meters m ON m.id = x.meter_id JOIN network_feeders f ON f.id = x.feeder_id
    ORDER BY x.priority NULLS LAST, f.feeder_id COLLATE "C"
"""
SUBSTATION_MAPPINGS = """
    SELECT m.meter_number, s.substation_id, x.priority
    FROM network_substation_meters x
    JOIN oms_meters m ON m.id = x.meter_id JOIN network_substations s ON s.id = x.substation_id
    ORDER BY x.created_at, s.substation_id COLLATE "C"
"""
# Where the registry and the mappings say different things of a meter; see 65_two_truths.sql.
UNEQUAL = """
    SELECT m.meter_number
    FROM oms_meters m LEFT JOIN network_feeders f ON f.id = m.feeder_id
    WHERE (m.feeder_id IS NOT NULL AND m.substation_id IS DISTINCT FROM f.substation_id)
       OR (m.feeder_id IS NOT NULL AND NOT EXISTS
              (SELECT FROM network_feeder_meters x WHERE x.meter_id = m.id AND x.feeder_id = m.feeder_id))
       OR (m.feeder_id IS NULL AND m.dp_id IS NULL AND EXISTS
              (SELECT FROM network_feeder_meters x WHERE x.meter_id = m.id))
       OR (m.substation_id IS NOT NULL AND NOT EXISTS
              (SELECT FROM network_substation_meters x WHERE x.meter_id = m.id
               AND x.substation_id = m.substation_id AND x.feeder_id IS NOT DISTINCT FROM m.feeder_id))
       OR (m.substation_id IS NULL AND EXISTS
              (SELECT FROM network_substation_meters x WHERE x.meter_id = m.id))
       OR (m.feeder_id IS NOT NULL AND EXISTS
              (SELECT FROM network_substation_meters x WHERE x.meter_id = m.id
               AND x.substation_id NOT IN (SELECT n.substation_id
                   FROM network_feeder_meters y JOIN network_feeders n ON n.id = y.feeder_id
                   WHERE y.meter_id = m.id)))
    UNION ALL
    SELECT meter_id::text FROM network_substation_meters WHERE priority = 3 GROUP BY 1 HAVING count(*) > 3
"""
IMAGE = """
    SELECT d.kind, d.code, m.meter_number, x.is_alternate
    FROM oms_topology.device d
    JOIN (SELECT meter_no, segment_no, position_no, false AS is_alternate FROM oms_meters
          UNION ALL
          SELECT meter_no, segment_no, position_no, true FROM oms_topology.alternate_supply) x
        ON x.segment_no = d.segment_no AND x.position_no BETWEEN d.position_no AND d.last_position_no
    JOIN oms_meters m USING (meter_no)
"""


def parents(session: Session) -> dict[Place, Place | None]:
    """What feeds each device: the tables say it, unless it was given with the network."""
    found: dict[Place, Place | None] = {}
    for query in (CONTRACT_PARENTS, GIVEN_PARENTS):
        for kind, code, above_kind, above in session.execute(query).fetchall():
            found[kind, code] = None if above is None else (above_kind, above)
    return found


def way(above: dict[Place, Place | None], start: Place | None) -> list[Place]:
    """Devices from one up to its source; none where the way leads into a loop."""
    found: list[Place] = []
    while start is not None:
        if start in found:
            return []
        found.append(start)
        start = above[start]
    return found


def supplies(session: Session) -> dict[str, tuple[Place | None, set[Place]]]:
    """Each meter's normal device and its alternates, by the rules of supply."""
    given = {meter: (kind, code) for meter, kind, code in session.execute(GIVEN_DEVICES)}
    feeders: dict[str, list[str]] = {}
    for meter, feeder in session.execute(FEEDER_MAPPINGS):
        feeders.setdefault(meter, []).append(feeder)
    spread: dict[str, list[tuple[str, int | None]]] = {}
    for meter, substation, priority in session.execute(SUBSTATION_MAPPINGS):
        spread.setdefault(meter, []).append((substation, priority))
    found: dict[str, tuple[Place | None, set[Place]]] = {}
    for meter, *columns in session.execute(METERS).fetchall():
        mapped, scattered = feeders.get(meter, []), spread.get(meter, [])
        is_fan_out = [priority for _, priority in scattered].count(3) > 3
        usable = [code for code, priority in scattered if not (is_fan_out and priority == 3)]
        normal, others = supply(*columns, mapped, usable)
        found[meter] = given.get(meter, normal), others
    return found


def supply(
    substation: str | None,
    feeder: str | None,
    point: str | None,
    feeder_of_point: str | None,
    is_surveyed: bool,
    mapped: list[str],
    spread: list[str],
) -> tuple[Place | None, set[Place]]:
    """A distribution point, if its feeder is the meter's or it was surveyed; a feeder; a substation."""
    if point and (feeder in (None, feeder_of_point) or is_surveyed):
        return ("distribution_point", point), {("feeder", code) for code in mapped if code != feeder_of_point}
    chosen = feeder or next(iter(mapped), None)
    if chosen:
        return ("feeder", chosen), {("feeder", code) for code in mapped if code != chosen}
    chosen = substation or next(iter(spread), None)
    others = {("substation", code) for code in spread if code != chosen}
    return (("substation", chosen) if chosen else None), others


def expected(session: Session) -> tuple[dict[Place, Place | None], Ranges]:
    above, found = parents(session), Ranges()
    for meter, (normal, others) in supplies(session).items():
        for start, is_alternate in [(normal, False), *((other, True) for other in others)]:
            for place in way(above, start):
                found.setdefault((place, is_alternate), set()).add(meter)
    return above, found


def persisted(session: Session) -> Ranges:
    found = Ranges()
    for kind, code, meter, is_alternate in session.execute(IMAGE):
        found.setdefault(((kind, code), is_alternate), set()).add(meter)
    return found


def assert_image(session: Session, above: dict[Place, Place | None], ranges: Ranges) -> None:
    assert persisted(session) == ranges
    devices = session.execute("SELECT kind, code, depth, is_stale FROM oms_topology.device").fetchall()
    assert {(kind, code): depth for kind, code, depth, _ in devices} == {
        place: len(way(above, place)) - 1 if way(above, place) else None for place in above
    }
    assert not any(is_stale for *_, is_stale in devices)
    wrong = session.execute(
        "SELECT m.meter_number FROM oms_meters m WHERE supply_is_stale OR (status = 'inactive' AND"
        " (segment_no, position_no) IS DISTINCT FROM (NULL, NULL)) OR has_alternates <> EXISTS"
        " (SELECT FROM oms_topology.alternate_supply a WHERE a.meter_no = m.meter_no"
        "  AND a.normal_segment_no IS NOT DISTINCT FROM m.segment_no)"
    )
    assert wrong.fetchall() == []


# -- whatever old services do

SUBSTATIONS = [f"SS{number}" for number in range(1, 6)]
FEEDERS = [f"F{number}" for number in range(1, 5)]
POINTS = [f"DP{number}" for number in range(1, 4)]
METERS_USED = [f"M{number}" for number in range(1, 6)]


def some(codes: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(codes), min_size=1, max_size=len(codes), unique=True)


def one(codes: list[str]) -> st.SearchStrategy[str | None]:
    return st.none() | st.sampled_from(codes)


class OldServices(RuleBasedStateMachine):
    """Statements as they send them, in transactions that are committed or rolled back."""

    session: Session

    def run(self, statement: str, **parameters: Any) -> None:
        self.session.execute(statement, parameters)

    @invariant()
    def both_truths_are_equal(self) -> None:
        """After each statement, not only when somebody settles; for a feeder that moved, at the commit."""
        self.session.execute("SET CONSTRAINTS ALL IMMEDIATE")
        self.session.execute("SET CONSTRAINTS ALL DEFERRED")
        assert self.session.execute(UNEQUAL).fetchall() == []
        assert self.session.execute("SELECT count(*) FROM oms_topology.moved_meter").fetchone() == (0,)

    @initialize()
    def start(self) -> None:
        self.session.rollback()
        self.run("TRUNCATE network_substations, oms_meters CASCADE")
        self.run("DELETE FROM oms_topology.device")
        for statement in (
            "INSERT INTO network_substations (substation_id, name)"
            " SELECT 'SS' || n, '' FROM generate_series(1, 4) n",
            "INSERT INTO network_feeders (feeder_id, substation_id, name) SELECT 'F' || n, s.id, ''"
            " FROM generate_series(1, 3) n"
            " JOIN network_substations s ON s.substation_id = 'SS' || (n + 1) / 2",
            "INSERT INTO network_distribution_points (dp_id, feeder_id, name) SELECT 'DP' || n, f.id, ''"
            " FROM generate_series(1, 2) n JOIN network_feeders f ON f.feeder_id = 'F' || n",
            "INSERT INTO oms_topology.device (kind, code, parent_no, parent_is_explicit)"
            " SELECT 'section', 'S1', device_no, true FROM oms_topology.device WHERE code = 'F1'",
            "INSERT INTO oms_meters (meter_number, dp_id) SELECT 'M1', id FROM network_distribution_points"
            " WHERE dp_id = 'DP1'",
            "SELECT oms_topology.settle()",
        ):
            self.run(statement)
        self.session.commit()
        self.told = self.told_at_commit = expected(self.session)

    @rule(codes=some(SUBSTATIONS))
    def add_substations(self, codes: list[str]) -> None:
        self.run(
            "INSERT INTO network_substations (substation_id, name)"
            " SELECT code, 'new' FROM unnest(%(codes)s::text[]) code"
            " ON CONFLICT (substation_id) DO UPDATE SET name = 'known'",
            codes=codes,
        )

    @rule(codes=some(FEEDERS), substation=st.sampled_from(SUBSTATIONS))
    def add_feeders(self, codes: list[str], substation: str) -> None:
        self.run(
            "INSERT INTO network_feeders (feeder_id, substation_id, name) SELECT code, s.id, 'new'"
            " FROM unnest(%(codes)s::text[]) code, network_substations s"
            " WHERE s.substation_id = %(substation)s"
            " ON CONFLICT (feeder_id) DO UPDATE SET substation_id = excluded.substation_id",
            codes=codes,
            substation=substation,
        )

    @rule(codes=some(POINTS), feeder=st.sampled_from(FEEDERS))
    def add_points(self, codes: list[str], feeder: str) -> None:
        self.run(
            "INSERT INTO network_distribution_points (dp_id, feeder_id, name) SELECT code, f.id, 'new'"
            " FROM unnest(%(codes)s::text[]) code, network_feeders f WHERE f.feeder_id = %(feeder)s"
            " ON CONFLICT (dp_id) DO UPDATE SET feeder_id = excluded.feeder_id",
            codes=codes,
            feeder=feeder,
        )

    @rule(code=st.sampled_from(POINTS), is_surveyed=st.booleans())
    def survey(self, code: str, is_surveyed: bool) -> None:
        self.run(
            "UPDATE oms_topology.device SET is_surveyed = %(is_surveyed)s"
            " WHERE kind = 'distribution_point' AND code = %(code)s",
            code=code,
            is_surveyed=is_surveyed,
        )

    @rule(
        codes=some(METERS_USED),
        places=st.tuples(one(SUBSTATIONS), one(FEEDERS), one(POINTS)),
        is_upsert=st.booleans(),
    )
    def place_meters(
        self, codes: list[str], places: tuple[str | None, str | None, str | None], is_upsert: bool
    ) -> None:
        values = (
            "(SELECT id FROM network_substations WHERE substation_id = %(substation)s),"
            " (SELECT id FROM network_feeders WHERE feeder_id = %(feeder)s),"
            " (SELECT id FROM network_distribution_points WHERE dp_id = %(point)s)"
        )
        upsert = (
            "INSERT INTO oms_meters (meter_number, substation_id, feeder_id, dp_id)"
            f" SELECT code, {values} FROM unnest(%(codes)s::text[]) code"
            " ON CONFLICT (meter_number) DO UPDATE SET substation_id = excluded.substation_id,"
            " feeder_id = excluded.feeder_id, dp_id = excluded.dp_id"
        )
        update = (
            f"UPDATE oms_meters SET (substation_id, feeder_id, dp_id) = (SELECT {values})"
            " WHERE meter_number = ANY (%(codes)s)"
        )
        substation, feeder, point = places
        self.run(
            upsert if is_upsert else update, codes=codes, substation=substation, feeder=feeder, point=point
        )

    @rule(codes=some(METERS_USED), status=st.sampled_from(["active", "inactive", "decommissioned", None]))
    def set_status(self, codes: list[str], status: str | None) -> None:
        self.run(
            "UPDATE oms_meters SET status = %(status)s WHERE meter_number = ANY (%(codes)s)",
            codes=codes,
            status=status,
        )

    @rule(code=st.sampled_from(METERS_USED), at=st.sampled_from(["S1", "F1", "DP2", "SS3"]))
    def give_a_device(self, code: str, at: str) -> None:
        """As a stored network does."""
        self.run(
            "UPDATE oms_meters m SET device_no = d.device_no, device_is_explicit = true,"
            " supply_is_stale = true"
            " FROM oms_topology.device d WHERE d.code = %(at)s AND m.meter_number = %(code)s",
            code=code,
            at=at,
        )

    @rule(meters=some(METERS_USED), feeders=some(FEEDERS), priority=st.sampled_from([1, 2, 3, None]))
    def map_feeders(self, meters: list[str], feeders: list[str], priority: int | None) -> None:
        self.run(
            "INSERT INTO network_feeder_meters (meter_id, feeder_id, priority)"
            " SELECT m.id, f.id, %(priority)s::integer FROM oms_meters m, network_feeders f"
            " WHERE m.meter_number = ANY (%(meters)s) AND f.feeder_id = ANY (%(feeders)s)"
            " ON CONFLICT (feeder_id, meter_id) DO UPDATE SET priority = excluded.priority",
            meters=meters,
            feeders=feeders,
            priority=priority,
        )

    @rule(
        meters=some(METERS_USED),
        substations=some(SUBSTATIONS),
        feeder=one(FEEDERS),
        priority=st.sampled_from([1, 3, 3, 4, None]),
    )
    def map_substations(
        self, meters: list[str], substations: list[str], feeder: str | None, priority: int | None
    ) -> None:
        self.run(
            "INSERT INTO network_substation_meters (meter_id, substation_id, feeder_id, priority)"
            " SELECT m.id, s.id, f.id, %(priority)s::integer FROM oms_meters m, network_substations s"
            " LEFT JOIN network_feeders f ON f.feeder_id = %(feeder)s"
            " WHERE m.meter_number = ANY (%(meters)s) AND s.substation_id = ANY (%(substations)s)"
            " ON CONFLICT (substation_id, meter_id) DO UPDATE SET priority = excluded.priority",
            meters=meters,
            substations=substations,
            feeder=feeder,
            priority=priority,
        )

    @rule(
        meters=some(METERS_USED), feeder=one(FEEDERS), substation=st.sampled_from(["as it is", *SUBSTATIONS])
    )
    def relink(self, meters: list[str], feeder: str | None, substation: str) -> None:
        """One side of the registry alone."""
        self.run(
            "UPDATE oms_meters SET feeder_id = (SELECT id FROM network_feeders WHERE feeder_id = %(feeder)s)"
            " WHERE meter_number = ANY (%(meters)s)"
            if substation == "as it is"
            else "UPDATE oms_meters SET substation_id ="
            " (SELECT id FROM network_substations WHERE substation_id = %(substation)s)"
            " WHERE meter_number = ANY (%(meters)s)",
            meters=meters,
            feeder=feeder,
            substation=substation,
        )

    @rule(meter=st.sampled_from(METERS_USED), substation=st.sampled_from(SUBSTATIONS), feeder=one(FEEDERS))
    def move_mappings(self, meter: str, substation: str, feeder: str | None) -> None:
        """A mapping is made to say something else, where that is free."""
        self.run(
            "UPDATE network_substation_meters x SET substation_id = s.id,"
            " feeder_id = (SELECT id FROM network_feeders WHERE feeder_id = %(feeder)s)"
            " FROM network_substations s WHERE s.substation_id = %(substation)s AND x.id ="
            "  (SELECT y.id FROM network_substation_meters y JOIN oms_meters m ON m.id = y.meter_id"
            "   WHERE m.meter_number = %(meter)s ORDER BY y.created_at, y.id LIMIT 1)"
            " AND NOT EXISTS (SELECT FROM network_substation_meters z"
            "  WHERE z.meter_id = x.meter_id AND z.substation_id = s.id AND z.id <> x.id)",
            meter=meter,
            substation=substation,
            feeder=feeder,
        )
        self.run(
            "UPDATE network_feeder_meters x SET feeder_id = f.id"
            " FROM network_feeders f WHERE f.feeder_id = %(feeder)s AND x.id ="
            "  (SELECT y.id FROM network_feeder_meters y JOIN oms_meters m ON m.id = y.meter_id"
            "   WHERE m.meter_number = %(meter)s ORDER BY y.priority, y.id LIMIT 1)"
            " AND NOT EXISTS (SELECT FROM network_feeder_meters z"
            "  WHERE z.meter_id = x.meter_id AND z.feeder_id = f.id)",
            meter=meter,
            feeder=feeder,
        )

    @rule(
        table=st.sampled_from(["network_feeder_meters", "network_substation_meters"]),
        meters=some(METERS_USED),
        other=one(METERS_USED),
    )
    def unmap(self, table: str, meters: list[str], other: str | None) -> None:
        """The mappings go, or go over to another meter that has none."""
        goes_over = sql.SQL(
            "UPDATE {0} x SET meter_id = o.id FROM oms_meters m, oms_meters o WHERE m.id = x.meter_id"
            " AND m.meter_number = %(first)s AND o.meter_number = %(other)s"
            " AND NOT EXISTS (SELECT FROM {0} y WHERE y.meter_id = o.id)"
        )
        goes = sql.SQL(
            "DELETE FROM {} USING oms_meters m WHERE m.id = meter_id AND m.meter_number = ANY (%(meters)s)"
        )
        self.session.execute(
            (goes_over if other else goes).format(sql.Identifier(table)),
            {"meters": meters, "first": meters[0], "other": other},
        )

    @rule(
        table=st.sampled_from(
            [
                ("network_substations", "substation_id", SUBSTATIONS),
                ("network_feeders", "feeder_id", FEEDERS),
                ("network_distribution_points", "dp_id", POINTS),
                ("oms_meters", "meter_number", METERS_USED),
            ]
        ),
        data=st.data(),
    )
    def delete(self, table: tuple[str, str, list[str]], data: st.DataObject) -> None:
        name, column, codes = table
        self.session.execute(
            sql.SQL("DELETE FROM {} WHERE {} = ANY (%s)").format(
                sql.Identifier(name), sql.Identifier(column)
            ),
            (data.draw(st.lists(st.sampled_from(codes), min_size=1, max_size=2)),),
        )

    @rule(
        table=st.sampled_from(
            ["network_feeder_meters", "network_substation_meters", "oms_meters",
             "network_distribution_points", "network_feeders"]
        ),
        is_rare=st.integers(0, 3),
    )  # fmt: skip
    def truncate(self, table: str, is_rare: int) -> None:
        if is_rare == 0:
            self.session.execute(sql.SQL("TRUNCATE {} CASCADE").format(sql.Identifier(table)))

    @rule(
        code=st.sampled_from(["S1", "F1", "F2", "DP1", "DP2", "SS2"]),
        at=one(["S1", "F1", "F2", "DP1", "DP2", "SS1"]),
    )
    def hang(self, code: str, at: str | None) -> None:
        """By hand, and so that loops come about."""
        self.run(
            "UPDATE oms_topology.device SET parent_is_explicit = true, parent_no ="
            " (SELECT device_no FROM oms_topology.device WHERE code = %(at)s)"
            " WHERE code = %(code)s AND code IS DISTINCT FROM %(at)s",
            code=code,
            at=at,
        )

    @rule(code=st.sampled_from(FEEDERS), new=st.sampled_from([*FEEDERS, "F9"]))
    def rename(self, code: str, new: str) -> None:
        self.run(
            "UPDATE network_feeders SET feeder_id = %(new)s WHERE feeder_id = %(code)s"
            " AND NOT EXISTS (SELECT FROM network_feeders WHERE feeder_id = %(new)s)",
            code=code,
            new=new,
        )

    @rule()
    def commit(self) -> None:
        self.session.commit()
        self.told_at_commit = self.told

    @rule()
    def roll_back(self) -> None:
        self.session.rollback()
        self.told = self.told_at_commit
        self.settle()

    @rule()
    def settle(self) -> None:
        versions = self.versions()
        now = expected(self.session)
        settled = self.settled()
        assert_image(self.session, *now)
        assert self.versions() == versions + settled
        # A running graph has nothing but the version to learn from; an empty network tells by itself.
        assert settled or now == self.told or not now[0]
        assert not self.settled()
        self.told = now

    def settled(self) -> bool:
        row = self.session.execute("SELECT oms_topology.settle()").fetchone()
        assert row is not None
        return bool(row[0])

    def versions(self) -> int:
        row = self.session.execute("SELECT count(*) FROM oms_topology.topology_change").fetchone()
        assert row is not None
        return int(row[0])

    def teardown(self) -> None:
        try:
            self.settle()
        finally:
            self.session.rollback()


@pytest.fixture(scope="module")
def image_session(pg_server: LiveServer) -> Iterator[Session]:
    database = pg_server.create(upgraded=True)
    with connected(database) as session:
        yield session
        session.rollback()
    pg_server.drop(database)


def connected(database: Database, *, autocommit: bool = False) -> Session:
    url = database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    # A lock that never comes fails the test, and does not hang it.
    options = "-c timezone=UTC -c statement_timeout=120s"
    return psycopg.connect(url, options=options, autocommit=autocommit)


def test_the_image_is_what_a_walk_through_the_tables_gives(image_session: Session) -> None:
    machine = type("OldServicesHere", (OldServices,), {"session": image_session})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )


# -- several sessions at once

LINE = "SS1 > F1 > DP1 > M1..M4; SS1 > F2 > DP2 > M5; SS2 > F3 > DP3 > M6; SS3 > F4 > DP4 > M7"
MOVE = (
    "UPDATE oms_meters SET (feeder_id, dp_id) = (SELECT f.id, NULL::uuid FROM network_feeders f"
    " WHERE f.feeder_id = %s) WHERE meter_number = %s"
)
MAP = (
    "INSERT INTO network_feeder_meters (feeder_id, meter_id, priority) SELECT f.id, m.id, 2"
    " FROM network_feeders f, oms_meters m WHERE f.feeder_id = %s AND m.meter_number = %s"
)
REFEED = (
    "UPDATE network_feeders SET substation_id = (SELECT id FROM network_substations"
    " WHERE substation_id = %s) WHERE feeder_id = %s"
)
UNMAP = (
    "DELETE FROM network_feeder_meters x USING oms_meters m WHERE m.id = x.meter_id AND m.meter_number = %s"
)
TRIP = {
    "eventType": "MV_AlarmLossOfVoltage",
    "alarmType": "De-energized",
    "substationId": "SS1",
    "feederId": "F1",
    "timestamp": "2025-10-01T12:00:00Z",
}


@pytest.fixture
def grid(database: Database) -> Database:
    """The network as old services hold it: every place follows from their own columns."""
    database.store_network(Topology.from_text(LINE))
    with connected(database, autocommit=True) as session:
        session.execute("UPDATE oms_topology.device SET parent_is_explicit = false")
        session.execute("UPDATE oms_meters SET device_is_explicit = false")
    return database


def waits(session: Session, backend: int) -> bool:
    """Whether another session comes to wait for a lock; False when it ends its work first."""
    for _ in range(6000):
        row = session.execute(
            "SELECT wait_event_type = 'Lock', state FROM pg_stat_activity WHERE pid = %s", (backend,)
        ).fetchone()
        if row is None or row[0]:
            return row is not None
        if row[1] == "idle":
            return False
        time.sleep(0.01)
    return False


def settle_and_trip(session: Session) -> dict[str, Any]:
    session.execute("SELECT oms_topology.settle()")
    row = session.execute("SELECT insert_scada_event_with_meter_check(%s)", (Jsonb(TRIP),)).fetchone()
    assert row is not None
    answer: dict[str, Any] = row[0]
    return answer


@pytest.mark.parametrize(
    ("committed", "still_open"),
    [
        # A second change of what is marked already, of each kind that leaves its mark elsewhere.
        ((MOVE, ("F2", "M1")), (MOVE, ("F3", "M1"))),
        ((MOVE, ("F2", "M1")), (MAP, ("F3", "M1"))),
        ((REFEED, ("SS2", "F1")), (REFEED, ("SS3", "F1"))),
        ((REFEED, ("SS2", "F1")), (REFEED, ("SS2", "F2"))),
        ((REFEED, ("SS2", "F1")), (MOVE, ("F3", "M1"))),
        ((MOVE, ("F2", "M1")), ("DELETE FROM network_feeders WHERE feeder_id = %s", ("F2",))),
        ((MOVE, ("F2", "M1")), ("DELETE FROM oms_meters WHERE meter_number = %s", ("M1",))),
    ],
)
@pytest.mark.parametrize("ends_with", ["commit", "rollback"])
def test_a_change_that_is_open_while_others_settle_and_handle_events_is_not_lost(
    grid: Database, committed: tuple[Any, Any], still_open: tuple[Any, Any], ends_with: str
) -> None:
    with (
        connected(grid) as service,
        connected(grid, autocommit=True) as worker,
        connected(grid, autocommit=True) as watcher,
        ThreadPoolExecutor(1) as pool,
    ):
        watcher.execute(*committed)
        service.execute(*still_open)
        handling = pool.submit(settle_and_trip, worker)
        waits(watcher, worker.info.backend_pid)
        getattr(service, ends_with)()
        answer = handling.result()

        assert answer["outage_event_id"]
        watcher.execute("SELECT oms_topology.settle()")
        assert_image(watcher, *expected(watcher))


def test_a_change_that_nobody_committed_holds_no_event_up(grid: Database) -> None:
    with connected(grid) as service, connected(grid, autocommit=True) as worker:
        service.execute(REFEED, ("SS2", "F1"))
        service.execute(MAP, ("F1", "M7"))
        answer = settle_and_trip(worker)
        assert (answer["total_meters"], answer["offline_meters"]) == (4, 4)
        service.commit()
        worker.execute("SELECT oms_topology.settle()")
        assert_image(worker, *expected(worker))


def test_services_change_and_workers_settle_and_handle_events_all_at_once(grid: Database) -> None:
    """One meter a transaction: who locks several in an order of his own may be chosen to try again."""

    def change(number: int) -> None:
        with connected(grid) as service:
            for turn in range(16):
                meter = f"M{number * 2 + 1 + turn % 2}"
                service.execute(MOVE, (FEEDERS[(turn + number) % 4], meter))
                service.execute(UNMAP, (meter,))
                service.execute(MAP, (FEEDERS[turn % 4], meter))
                service.rollback() if turn % 4 == 3 else service.commit()

    def refeed() -> None:
        with connected(grid, autocommit=True) as service:
            for turn in range(20):
                service.execute(REFEED, (SUBSTATIONS[turn % 3], "F4"))

    def work(number: int) -> None:
        with connected(grid, autocommit=True) as worker:
            for turn in range(15):
                event = TRIP | {
                    "feederId": FEEDERS[turn % 4],
                    "timestamp": f"2025-10-01T12:{turn:02}:0{number}Z",
                }
                worker.execute("SELECT oms_topology.settle()")
                worker.execute("SELECT insert_scada_event_with_meter_check(%s)", (Jsonb(event),))

    with ThreadPoolExecutor(6) as pool:
        tasks = [pool.submit(change, number) for number in range(3)]
        tasks += [pool.submit(refeed), *(pool.submit(work, number) for number in range(2))]
        for task in tasks:
            task.result()
    with connected(grid, autocommit=True) as session:
        session.execute("SELECT oms_topology.settle()")
        assert_image(session, *expected(session))
        signals = session.execute(
            "SELECT count(*) FROM oms_topology.signal WHERE source = 'scada'"
        ).fetchone()
        assert signals == (30,)


# -- read by the index

BELOW = """
    SELECT m.meter_no FROM oms_topology.device d
    JOIN oms_meters m
        ON m.segment_no = d.segment_no AND m.position_no BETWEEN d.position_no AND d.last_position_no
    WHERE d.kind = %s AND d.code = %s
"""


@pytest.fixture(scope="module")
def registry(pg_server: LiveServer) -> Iterator[Session]:
    """Twenty thousand meters: ten substations of ten feeders of ten points of twenty."""
    database = pg_server.create(upgraded=True)
    with connected(database, autocommit=True) as session:
        session.execute(
            "INSERT INTO network_substations (substation_id, name)"
            " SELECT 'SS' || n, '' FROM generate_series(0, 9) n"
        )
        session.execute(
            "INSERT INTO network_feeders (feeder_id, substation_id, name) SELECT 'F' || n, id, ''"
            " FROM generate_series(0, 99) n JOIN network_substations ON substation_id = 'SS' || n / 10"
        )
        session.execute(
            "INSERT INTO network_distribution_points (dp_id, feeder_id, name) SELECT 'DP' || n, id, ''"
            " FROM generate_series(0, 999) n JOIN network_feeders ON feeder_id = 'F' || n / 10"
        )
        session.execute(
            "INSERT INTO oms_meters (meter_number, dp_id) SELECT 'M' || n, id"
            " FROM generate_series(0, 19999) n JOIN network_distribution_points ON dp_id = 'DP' || n % 1000"
        )
        session.execute("SELECT oms_topology.settle()")
        session.execute("VACUUM ANALYZE oms_meters")
        session.execute("ANALYZE oms_topology.device")
        yield session
    pg_server.drop(database)


def scans(plan: dict[str, Any], relation: str) -> list[dict[str, Any]]:
    """The nodes of a plan that read a table, or an index of it on its behalf."""
    below = [node for child in plan.get("Plans", ()) for node in scans(child, relation)]
    is_bitmap = plan["Node Type"] == "Bitmap Index Scan" and plan["Index Name"].startswith(relation)
    return [plan, *below] if plan.get("Relation Name") == relation or is_bitmap else below


@pytest.mark.parametrize(
    ("kind", "code", "count"),
    [("distribution_point", "DP123", 20), ("feeder", "F12", 200), ("substation", "SS1", 2000)],
)
def test_meters_below_a_device_are_read_by_the_supply_index_and_no_others(
    registry: Session, kind: str, code: str, count: int
) -> None:
    row = registry.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + BELOW, (kind, code)).fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    assert plan["Actual Rows"] == count
    read = scans(plan, "oms_meters")
    assert "oms_meters_supply_idx" in {node.get("Index Name") for node in read}
    assert not any(node["Node Type"] == "Seq Scan" for node in read)
    for node in read:
        assert node["Actual Rows"] * node["Actual Loops"] == count
        assert node.get("Rows Removed by Filter", 0) == node.get("Rows Removed by Index Recheck", 0) == 0
    # The meters of one point lie far apart in the table: a page each at most, and a few of the index.
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] <= count * 1.1 + 20


def test_a_trip_reads_of_the_registry_what_it_concerns(registry: Session) -> None:
    """All statements of one event together, as the server itself counts them."""
    trip = TRIP | {"substationId": "SS5", "feederId": "F55"}
    with registry.transaction(force_rollback=True):
        scans_before, rows_before = meter_reads(registry)
        answer = registry.execute("SELECT insert_scada_event_with_meter_check(%s)", (Jsonb(trip),)).fetchone()
        scans_after, rows_after = meter_reads(registry)
    assert answer is not None
    assert answer[0]["offline_meters"] == 200
    assert scans_after == scans_before
    assert 200 <= rows_after - rows_before <= 200 * 20


def meter_reads(session: Session) -> tuple[int, int]:
    """Sequential scans of the meters, and rows read by index, that this session is known to have made."""
    row = session.execute(
        "SELECT seq_scan, idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relid = 'oms_meters'::regclass"
    ).fetchone()
    assert row is not None
    return row[0], row[1]
