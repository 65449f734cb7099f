"""The network as of every earlier version is what was loaded when that version was the present one.

Two sessions change the tables by turns, each in transactions of its own, so that changes commit in another
order than they were made in; a network is loaded whenever nobody's lock is in the way.
"""

from __future__ import annotations

import random
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from oms_topology import Topology
from oms_topology.errors import ConflictError, TopologyHistoryError
from oms_topology.persistence.database import Database
from oms_topology.persistence.network_load import load_network

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future
    from datetime import datetime

    from oms_topology.model import NetworkColumns
    from tests.servers import LiveServer

Session = psycopg.Connection[Any]
Seen = tuple[Any, ...]

SUBSTATIONS = ["SS1", "SS2", "SS3"]
FEEDERS = ["F1", "F2", "F3"]
POINTS = ["DP1", "DP2", "DP3"]
SECTIONS = ["S1", "S2"]
METERS = [f"M{number}" for number in range(1, 7)]
PLACES = [*SUBSTATIONS, *FEEDERS, *POINTS, *SECTIONS]
NETWORKS = [
    "SS1 >SW1> F1 > DP1 > M1, M2; SS1 > F2 > DP2 > M3; F2 ~> M1",
    "SS1 > F1 > DP1 > M1; SS1 >SW1> F2 > DP2 > M2, M3; F1 /T1/ F2; F1 ~> M2",
    "SS2 > F1 >SW2> S1 > DP1 > M1, M4; SS1 > F3 > DP3 > M5; F3 ~> M4; S1 ~> M5",
]
START = [
    "INSERT INTO network_substations (substation_id, name) SELECT 'SS' || n, '' FROM generate_series(1, 2) n",
    "INSERT INTO network_feeders (feeder_id, substation_id, name) SELECT 'F' || n, s.id, ''"
    " FROM generate_series(1, 2) n JOIN network_substations s ON s.substation_id = 'SS' || n",
    "INSERT INTO network_distribution_points (dp_id, feeder_id, name) SELECT 'DP' || n, f.id, ''"
    " FROM generate_series(1, 2) n JOIN network_feeders f ON f.feeder_id = 'F' || n",
    "INSERT INTO oms_topology.device (kind, code, parent_no, normal_parent_no, parent_is_explicit)"
    " SELECT 'section', 'S1', device_no, device_no, true FROM oms_topology.device WHERE code = 'F1'",
    "INSERT INTO oms_topology.branch (from_no, to_no, kind, code, is_switch)"
    " SELECT f.device_no, t.device_no, 'switch', 'SW1', true"
    " FROM oms_topology.device f, oms_topology.device t WHERE (f.code, t.code) = ('F1', 'S1')",
    "INSERT INTO oms_meters (meter_number, dp_id) SELECT 'M' || n, id"
    " FROM generate_series(1, 3) n JOIN network_distribution_points ON dp_id = 'DP' || 1 + n % 2",
]
# One row a statement, its parameters drawn by name.
STATEMENTS = {
    "add a substation": "INSERT INTO network_substations (substation_id, name)"
    " SELECT code, '' FROM unnest(%(substations)s::text[]) code ON CONFLICT (substation_id) DO NOTHING",
    "add or re-feed feeders": "INSERT INTO network_feeders (feeder_id, substation_id, name)"
    " SELECT code, s.id, '' FROM unnest(%(feeders)s::text[]) code, network_substations s"
    " WHERE s.substation_id = %(substation)s"
    " ON CONFLICT (feeder_id) DO UPDATE SET substation_id = excluded.substation_id",
    "add or re-feed points": "INSERT INTO network_distribution_points (dp_id, feeder_id, name)"
    " SELECT code, f.id, '' FROM unnest(%(points)s::text[]) code, network_feeders f"
    " WHERE f.feeder_id = %(feeder)s ON CONFLICT (dp_id) DO UPDATE SET feeder_id = excluded.feeder_id",
    "rename a feeder": "UPDATE network_feeders SET feeder_id = 'F9' WHERE feeder_id = %(feeder)s"
    " AND NOT EXISTS (SELECT FROM network_feeders WHERE feeder_id = 'F9')",
    "name it back": "UPDATE network_feeders SET feeder_id = %(feeder)s WHERE feeder_id = 'F9'"
    " AND NOT EXISTS (SELECT FROM oms_topology.device WHERE kind = 'feeder' AND code = %(feeder)s)",
    "delete substations": "DELETE FROM network_substations WHERE substation_id = ANY (%(substations)s)",
    "delete feeders": "DELETE FROM network_feeders WHERE feeder_id = ANY (%(feeders)s)",
    "delete points": "DELETE FROM network_distribution_points WHERE dp_id = ANY (%(points)s)",
    "add or move meters": "INSERT INTO oms_meters (meter_number, feeder_id, dp_id)"
    " SELECT code, (SELECT id FROM network_feeders WHERE feeder_id = %(feeder)s),"
    " (SELECT id FROM network_distribution_points WHERE dp_id = %(point)s)"
    " FROM unnest(%(meters)s::text[]) code ON CONFLICT (meter_number) DO UPDATE"
    " SET feeder_id = excluded.feeder_id, dp_id = excluded.dp_id",
    "move meters": "UPDATE oms_meters SET dp_id = (SELECT id FROM network_distribution_points"
    " WHERE dp_id = %(point)s) WHERE meter_number = ANY (%(meters)s)",
    "take meters out": "UPDATE oms_meters SET status = 'inactive' WHERE meter_number = ANY (%(meters)s)",
    "take meters in": "UPDATE oms_meters SET status = 'active' WHERE meter_number = ANY (%(meters)s)",
    "renumber a meter": "UPDATE oms_meters SET meter_number = 'M9' WHERE meter_number = %(meter)s"
    " AND NOT EXISTS (SELECT FROM oms_meters WHERE meter_number = 'M9')",
    "number it back": "UPDATE oms_meters SET meter_number = %(meter)s WHERE meter_number = 'M9'"
    " AND NOT EXISTS (SELECT FROM oms_meters WHERE meter_number = %(meter)s)",
    "delete meters": "DELETE FROM oms_meters WHERE meter_number = ANY (%(meters)s)",
    "give a device": "UPDATE oms_meters SET device_is_explicit = true, device_no ="
    " (SELECT device_no FROM oms_topology.device WHERE code = %(place)s) WHERE meter_number = %(meter)s",
    "map feeders": "INSERT INTO network_feeder_meters (meter_id, feeder_id, priority)"
    " SELECT m.id, f.id, %(priority)s FROM oms_meters m, network_feeders f"
    " WHERE m.meter_number = ANY (%(meters)s) AND f.feeder_id = ANY (%(feeders)s)"
    " ON CONFLICT (feeder_id, meter_id) DO UPDATE SET priority = excluded.priority",
    "map a substation": "INSERT INTO network_substation_meters (meter_id, substation_id, priority)"
    " SELECT m.id, s.id, %(priority)s FROM oms_meters m, network_substations s"
    " WHERE m.meter_number = ANY (%(meters)s) AND s.substation_id = %(substation)s"
    " ON CONFLICT (substation_id, meter_id) DO UPDATE SET priority = excluded.priority",
    "unmap": "DELETE FROM network_feeder_meters USING oms_meters m"
    " WHERE m.id = meter_id AND m.meter_number = ANY (%(meters)s)",
    "add sections": "INSERT INTO oms_topology.device"
    " (kind, code, parent_no, normal_parent_no, parent_is_explicit)"
    " SELECT 'section', new, d.device_no, d.device_no, true FROM unnest(%(sections)s::text[]) new,"
    " oms_topology.device d WHERE d.code = %(place)s AND d.code <> new ON CONFLICT (kind, code) DO NOTHING",
    "hang elsewhere": "UPDATE oms_topology.device d SET parent_is_explicit = true, parent_no = p.device_no"
    " FROM oms_topology.device p WHERE p.code = %(place)s AND d.code = %(other)s AND d.code <> p.code",
    "hang elsewhere for good": "UPDATE oms_topology.device d SET parent_is_explicit = true,"
    " normal_parent_no = p.device_no FROM oms_topology.device p"
    " WHERE p.code = %(place)s AND d.code = %(other)s",
    "make a source": "UPDATE oms_topology.device SET is_source = NOT is_source WHERE code = %(place)s",
    "delete a device": "DELETE FROM oms_topology.device WHERE code = %(other)s AND record_id IS NULL",
    "draw a branch": "INSERT INTO oms_topology.branch (from_no, to_no, kind, code, is_switch, is_open)"
    " SELECT f.device_no, t.device_no, 'switch', %(switch)s, true, %(flag)s"
    " FROM oms_topology.device f, oms_topology.device t WHERE f.code = %(place)s AND t.code = %(other)s",
    "switch": "UPDATE oms_topology.branch SET is_open = %(flag)s WHERE code = %(switch)s",
    "keep it so": "UPDATE oms_topology.branch SET normally_open = is_open WHERE code = %(switch)s",
    "call it otherwise": "UPDATE oms_topology.branch SET code = %(switch)s WHERE is_open = %(flag)s",
    "take branches away": "DELETE FROM oms_topology.branch WHERE code = %(switch)s",
    "give alternates": "INSERT INTO oms_topology.alternate_supply"
    " (meter_no, device_no, priority, is_explicit) SELECT m.meter_no, d.device_no, %(priority)s, true"
    " FROM oms_meters m, oms_topology.device d"
    " WHERE m.meter_number = ANY (%(meters)s) AND d.code = %(place)s"
    " ON CONFLICT (meter_no, device_no) DO UPDATE SET priority = excluded.priority, is_explicit = true",
    "another alternate": "UPDATE oms_topology.alternate_supply a SET device_no = d.device_no"
    " FROM oms_topology.device d, oms_meters m WHERE m.meter_no = a.meter_no AND m.meter_number = %(meter)s"
    " AND d.code = %(place)s AND NOT EXISTS (SELECT FROM oms_topology.alternate_supply o"
    " WHERE o.meter_no = a.meter_no AND (o.device_no = d.device_no OR o.device_no < a.device_no))",
    "take alternates away": "DELETE FROM oms_topology.alternate_supply a USING oms_meters m"
    " WHERE m.meter_no = a.meter_no AND m.meter_number = ANY (%(meters)s)",
    "settle": "SELECT oms_topology.settle()",
}  # fmt: skip
TRUNCATED = [
    "TRUNCATE network_feeder_meters",
    "TRUNCATE oms_meters RESTART IDENTITY CASCADE",
    "TRUNCATE network_distribution_points CASCADE",
    "TRUNCATE oms_topology.branch",
    "TRUNCATE oms_topology.alternate_supply",
]


def some(codes: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(codes), min_size=1, max_size=3, unique=True)


PARAMETERS = st.fixed_dictionaries(
    {
        "substations": some(SUBSTATIONS),
        "substation": st.sampled_from(SUBSTATIONS),
        "feeders": some(FEEDERS),
        "feeder": st.sampled_from(FEEDERS),
        "points": some(POINTS),
        "point": st.none() | st.sampled_from(POINTS),
        "sections": some(SECTIONS),
        "meters": some(METERS),
        "meter": st.sampled_from(METERS),
        "place": st.sampled_from(PLACES),
        "other": st.sampled_from(PLACES),
        "switch": st.sampled_from(["SW1", "SW2"]),
        "flag": st.booleans(),
        "priority": st.integers(1, 3),
    }
)


def seen(columns: NetworkColumns) -> Seen:
    """All that decides who is fed by what, by codes; devices and branches in their order."""
    devices = list(zip(columns.device_kind.tolist(), columns.device_code.tolist(), strict=True))
    meters = columns.meter_number.tolist()

    def device(row: int) -> tuple[str, str] | None:
        return devices[row] if row >= 0 else None

    branches = zip(
        map(device, columns.branch_from.tolist()),
        map(device, columns.branch_to.tolist()),
        columns.branch_kind.tolist(),
        columns.branch_code.tolist(),
        columns.branch_is_switch.tolist(),
        columns.branch_normally_open.tolist(),
        columns.branch_is_open.tolist(),
        strict=True,
    )
    alternates = defaultdict(list)
    for meter, at, priority in zip(
        columns.alternate_meter.tolist(),
        columns.alternate_device.tolist(),
        columns.alternate_priority.tolist(),
        strict=True,
    ):
        alternates[meters[meter]].append((device(at), priority))
    placed = dict(zip(meters, map(device, columns.meter_device.tolist()), strict=True))
    assert len(placed) == len(meters)
    return devices, columns.device_is_source.tolist(), list(branches), placed, dict(alternates)


def connected(database: Database, *, patience: str = "20ms") -> Session:
    url = database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(
        url, options=f"-c timezone=UTC -c statement_timeout=120s -c lock_timeout={patience}"
    )


def impatient(database: Database) -> Database:
    """The same database for a loader that does not wait for the tests' own open transactions."""
    return Database(database.engine.url.update_query_dict({"options": "-c lock_timeout=20ms"}))


class ByTurns(RuleBasedStateMachine):
    """Two sessions with open transactions, and a loader that comes between them."""

    sessions: tuple[Session, Session]
    loader: Database

    @initialize()
    def start(self) -> None:
        first, second = self.sessions
        second.rollback()
        first.rollback()
        for statement in (
            "TRUNCATE network_substations, oms_meters CASCADE",
            "DELETE FROM oms_topology.device",
            *START,
            "SELECT oms_topology.settle()",
            "SELECT oms_topology.forget_topology_before(now())",
        ):
            first.execute(statement)
        first.commit()
        self.copies: dict[int, Seen] = {}
        self.instants: dict[int, datetime] = {}
        self.is_open = [False, False]
        self.load()

    @rule(who=st.integers(0, 1), what=st.sampled_from(sorted(STATEMENTS)), parameters=PARAMETERS)
    def change(self, who: int, what: str, parameters: dict[str, Any]) -> None:
        self.run(who, STATEMENTS[what], parameters)

    @rule(what=st.sampled_from(sorted(STATEMENTS)), parameters=PARAMETERS)
    def change_and_load(self, what: str, parameters: dict[str, Any]) -> None:
        self.run(0, STATEMENTS[what], parameters)
        self.commit(0)
        self.load()

    @rule(who=st.integers(0, 1), what=st.sampled_from(TRUNCATED), is_rare=st.integers(0, 4))
    def truncate(self, who: int, what: str, is_rare: int) -> None:
        if is_rare == 0:
            self.run(who, what, {})

    @rule(text=st.sampled_from(NETWORKS))
    def store(self, text: str) -> None:
        """In one transaction of its own, where nobody's lock is in the way."""
        try:
            self.loader.store_network(Topology.from_text(text))
        except ConflictError:
            return

    @rule(who=st.integers(0, 1))
    def commit(self, who: int) -> None:
        self.sessions[who].commit()
        self.is_open[who] = False

    @rule(who=st.integers(0, 1))
    def roll_back(self, who: int) -> None:
        self.sessions[who].rollback()
        self.is_open[who] = False

    @rule()
    def load(self) -> None:
        try:
            columns = load_network(self.loader.engine)
        except ConflictError:
            return
        version, now = columns.topology_version, seen(columns)
        assert self.copies.setdefault(version, now) == now
        self.instants[version] = self.changed_at(version)
        if not any(self.is_open):
            self.assert_settled()

    @rule(data=st.data())
    def ask_for_the_past(self, data: st.DataObject) -> None:
        version = data.draw(st.sampled_from(sorted(self.copies)))
        self.assert_as_of(version, version)

    @rule(data=st.data(), is_rare=st.integers(0, 4))
    def forget(self, data: st.DataObject, is_rare: int) -> None:
        if is_rare or self.is_open[0]:
            return
        kept = data.draw(st.sampled_from(sorted(self.copies)))
        self.sessions[0].execute("SELECT oms_topology.forget_topology_before(%s)", (self.instants[kept],))
        self.sessions[0].commit()
        for version in [version for version in self.copies if version < kept]:
            assert self.is_forgotten(version)
            del self.copies[version], self.instants[version]

    def run(self, who: int, statement: str, parameters: dict[str, Any]) -> None:
        try:
            self.sessions[who].execute(statement, parameters)
            self.is_open[who] = True
        except (
            psycopg.errors.LockNotAvailable,
            psycopg.errors.DeadlockDetected,
            # A parent that the other session has just deleted.
            psycopg.errors.IntegrityError,
            psycopg.errors.RaiseException,
        ):
            self.roll_back(who)

    def is_forgotten(self, version: int) -> bool:
        try:
            load_network(self.loader.engine, as_of=version)
        except TopologyHistoryError:
            return True
        except ConflictError:
            # Nobody can tell yet; what is asked for at the end must not be among the forgotten.
            return True
        return False

    def changed_at(self, version: int) -> datetime:
        with self.loader.engine.connect() as connection:
            row = connection.exec_driver_sql(
                "SELECT changed_at FROM oms_topology.topology_change WHERE topology_version = %s", (version,)
            ).one()
        instant: datetime = row[0]
        return instant

    def assert_as_of(self, version: int, as_of: int | datetime) -> None:
        try:
            past = load_network(self.loader.engine, as_of=as_of)
        except ConflictError:
            return
        assert past.topology_version == version
        assert seen(past) == self.copies[version]

    def assert_settled(self) -> None:
        """With nobody in between, the newest version is what the tables say."""
        with self.loader.engine.connect() as connection:
            wrong = connection.exec_driver_sql(
                "SELECT count(*) FROM oms_meters WHERE listed_device_no IS DISTINCT FROM"
                " CASE WHEN COALESCE(status, 'active') = 'active' THEN COALESCE(device_no, -1) END"
            )
            assert wrong.scalar_one() == 0
            devices = connection.exec_driver_sql(
                "SELECT kind, code FROM oms_topology.device ORDER BY device_no"
            )
            assert [tuple(row) for row in devices] == self.copies[max(self.copies)][0]
            rows = connection.exec_driver_sql(
                "SELECT count(*) FILTER (WHERE topology_version IS NULL),"
                " count(*) - count(DISTINCT topology_version)"
                " FROM oms_topology.topology_before"
            )
            assert tuple(rows.one()) == (0, 0)

    def teardown(self) -> None:
        for session in self.sessions:
            session.rollback()
        for version in getattr(self, "copies", {}):
            self.assert_as_of(version, version)
            self.assert_as_of(version, self.instants[version])


@pytest.fixture(scope="module")
def history(pg_server: LiveServer) -> Iterator[Database]:
    database = pg_server.create(upgraded=True)
    yield database
    pg_server.drop(database)


def test_every_earlier_version_is_what_was_loaded_when_it_was_the_newest(history: Database) -> None:
    with (
        impatient(history) as loader,
        connected(history) as first,
        connected(history) as second,
    ):
        members = {"sessions": (first, second), "loader": loader}
        run_state_machine_as_test(
            type("ByTurnsHere", (ByTurns,), members),
            settings=settings(
                max_examples=30,
                stateful_step_count=30,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
            ),
        )


def test_what_is_loaded_while_others_commit_is_one_version_and_comes_back_as_that(
    history: Database,
) -> None:
    with connected(history) as session:
        for statement in START:
            session.execute(statement + " ON CONFLICT DO NOTHING")
    loaded = [load_network(history.engine)]
    with ThreadPoolExecutor(6) as pool:
        changing = [pool.submit(change_at_random, history, seed) for seed in range(4)]
        loading = [pool.submit(load_until_done, history, changing) for _ in range(2)]
        for task in changing:
            task.result()
        for load in loading:
            loaded += load.result()
    loaded.append(load_network(history.engine))
    copies: dict[int, Seen] = {}
    for columns in loaded:
        now = seen(columns)
        assert copies.setdefault(columns.topology_version, now) == now
    assert len(copies) > 1
    for version, then in copies.items():
        assert seen(load_network(history.engine, as_of=version)) == then


def change_at_random(database: Database, seed: int) -> None:
    draw = random.Random(seed)
    names = [name for name in STATEMENTS if name not in {"delete substations", "settle"}]
    with connected(database, patience="2s") as session:
        for _ in range(60):
            try:
                for name in draw.sample(names, 2):
                    session.execute(STATEMENTS[name], drawn(draw))
                session.commit()
            except psycopg.Error:
                # Somebody else's row or lock: the whole transaction goes, and the next is tried.
                session.rollback()


def load_until_done(database: Database, changing: list[Future[None]]) -> list[NetworkColumns]:
    found = []
    while not all(task.done() for task in changing):
        try:
            found.append(load_network(database.engine))
        except ConflictError:
            continue
    return found


def drawn(draw: random.Random) -> dict[str, Any]:
    """Parameters without Hypothesis, whose draws belong to its own thread."""
    return {
        "substations": draw.sample(SUBSTATIONS, 1), "substation": draw.choice(SUBSTATIONS),
        "feeders": draw.sample(FEEDERS, 2), "feeder": draw.choice(FEEDERS),
        "points": draw.sample(POINTS, 2), "point": draw.choice(POINTS),
        "sections": draw.sample(SECTIONS, 1), "meters": draw.sample(METERS, 2), "meter": draw.choice(METERS),
        "place": draw.choice(PLACES), "other": draw.choice(PLACES), "switch": draw.choice(["SW1", "SW2"]),
        "flag": draw.random() < 0.5, "priority": draw.randint(1, 3),
    }  # fmt: skip
