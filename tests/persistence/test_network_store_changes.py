"""Old services change the network by plain SQL; the image of it (preorder ranges, supplies) follows.

What the image must be is worked out here from the contract's tables alone, by walking up from every meter.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from oms_topology import Topology

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oms_topology.persistence.database import Database
    from tests.servers import LiveServer

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
Place = tuple[str, str]


@pytest.fixture(scope="module")
def connection(pg_server: LiveServer) -> Iterator[psycopg.Connection[Any]]:
    database = pg_server.create(upgraded=True)
    url = database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, options="-c timezone=UTC") as opened:
        yield opened
        opened.rollback()
    pg_server.drop(database)


# -- what the tables say, walked by hand


def rows(connection: psycopg.Connection[Any], query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query).fetchall()


def parents(connection: psycopg.Connection[Any]) -> dict[Place, Place | None]:
    """Each device of the contract's tables with the one above it."""
    found: dict[Place, Place | None] = {
        ("substation", code): None
        for (code,) in rows(connection, "SELECT substation_id FROM network_substations")
    }
    for code, above in rows(
        connection,
        "SELECT f.feeder_id, s.substation_id FROM network_feeders f"
        " JOIN network_substations s ON s.id = f.substation_id",
    ):
        found["feeder", code] = ("substation", above)
    for code, above in rows(
        connection,
        "SELECT p.dp_id, f.feeder_id FROM network_distribution_points p"
        " JOIN network_feeders f ON f.id = p.feeder_id",
    ):
        found["distribution_point", code] = ("feeder", above)
    return found


def supplies(connection: psycopg.Connection[Any]) -> dict[str, tuple[Place | None, set[Place]]]:
    """The normal supply of each meter, and its alternates, by the rules on supply."""
    feeders_of_meter: dict[str, list[tuple[int, str]]] = {}
    for meter, feeder, priority in rows(
        connection,
        "SELECT m.meter_number, f.feeder_id, x.priority FROM network_feeder_meters x"
        " JOIN oms_meters m ON m.id = x.meter_id JOIN network_feeders f ON f.id = x.feeder_id",
    ):
        feeders_of_meter.setdefault(meter, []).append((99 if priority is None else priority, feeder))
    substations_of_meter: dict[str, list[tuple[str, int]]] = {}
    for meter, substation, priority in rows(
        connection,
        "SELECT m.meter_number, s.substation_id, x.priority FROM network_substation_meters x"
        " JOIN oms_meters m ON m.id = x.meter_id JOIN network_substations s ON s.id = x.substation_id",
    ):
        substations_of_meter.setdefault(meter, []).append((substation, priority))
    found: dict[str, tuple[Place | None, set[Place]]] = {}
    for meter, status, substation, feeder, point, feeder_of_point in rows(
        connection,
        "SELECT m.meter_number, m.status, s.substation_id, f.feeder_id, p.dp_id, pf.feeder_id"
        " FROM oms_meters m"
        " LEFT JOIN network_substations s ON s.id = m.substation_id"
        " LEFT JOIN network_feeders f ON f.id = m.feeder_id"
        " LEFT JOIN network_distribution_points p ON p.id = m.dp_id"
        " LEFT JOIN network_feeders pf ON pf.id = p.feeder_id",
    ):
        mapped = sorted(feeders_of_meter.get(meter, []))
        spread = substations_of_meter.get(meter, [])
        if sum(priority == 3 for _, priority in spread) > 3:
            spread = [(code, priority) for code, priority in spread if priority != 3]
        found[meter] = (
            (None, set())
            if status not in (None, "active")
            else supply(
                substation,
                feeder,
                point,
                feeder_of_point,
                [f for _, f in mapped],
                sorted(c for c, _ in spread),
            )
        )
    return found


def supply(
    substation: str | None, feeder: str | None, point: str | None, feeder_of_point: str | None,
    mapped: list[str], spread: list[str],
) -> tuple[Place | None, set[Place]]:  # fmt: skip
    normal_feeder = (
        feeder_of_point if point and feeder in (None, feeder_of_point) else feeder or next(iter(mapped), None)
    )
    if normal_feeder:
        at_point = point and feeder in (None, feeder_of_point)
        normal = ("distribution_point", str(point)) if at_point else ("feeder", normal_feeder)
        return normal, {("feeder", code) for code in mapped if code != normal_feeder}
    normal_substation = substation or next(iter(spread), None)
    others = {("substation", code) for code in spread if code != normal_substation}
    return (("substation", normal_substation) if normal_substation else None), others


def expected_ranges(connection: psycopg.Connection[Any]) -> dict[tuple[Place, bool], set[str]]:
    above = parents(connection)
    found: dict[tuple[Place, bool], set[str]] = {}
    for meter, (normal, others) in supplies(connection).items():
        for start, is_alternate in [(normal, False), *((other, True) for other in others)]:
            at = start
            while at is not None:
                found.setdefault((at, is_alternate), set()).add(meter)
                at = above[at]
    return found


def persisted_ranges(connection: psycopg.Connection[Any]) -> dict[tuple[Place, bool], set[str]]:
    found: dict[tuple[Place, bool], set[str]] = {}
    for kind, code, meter, is_alternate in rows(
        connection,
        "SELECT d.kind, d.code, m.meter_number, x.is_alternate FROM oms_topology.device d"
        " JOIN (SELECT meter_no, segment_no, position_no, false AS is_alternate FROM oms_meters UNION ALL"
        "       SELECT meter_no, segment_no, position_no, true FROM oms_topology.alternate_supply) x"
        "   ON x.segment_no = d.segment_no AND x.position_no BETWEEN d.position_no AND d.last_position_no"
        " JOIN oms_meters m ON m.meter_no = x.meter_no",
    ):
        found.setdefault(((kind, code), is_alternate), set()).add(meter)
    return found


def assert_image_is_true(connection: psycopg.Connection[Any]) -> None:
    assert persisted_ranges(connection) == expected_ranges(connection)
    devices = rows(connection, "SELECT kind, code, segment_no, depth, is_stale FROM oms_topology.device")
    above = parents(connection)
    assert {(kind, code) for kind, code, *_ in devices} == above.keys()
    segments = {(kind, code): segment for kind, code, segment, *_ in devices}
    for kind, code, _, depth, is_stale in devices:
        chain = [(kind, code)]
        while (upper := above[chain[-1]]) is not None:
            chain.append(upper)
        assert (depth, is_stale) == (len(chain) - 1, False)
        assert segments[chain[0]] == segments[chain[-1]]
    flags = rows(connection, "SELECT meter_number, has_alternates, supply_is_stale FROM oms_meters")
    alternates = {meter: bool(others) for meter, (_, others) in supplies(connection).items()}
    assert {(meter, has) for meter, has, _ in flags} == set(alternates.items())
    assert not any(is_stale for *_, is_stale in flags)
    assert not rows(
        connection,
        "SELECT 1 FROM oms_topology.alternate_supply a JOIN oms_meters m USING (meter_no)"
        " WHERE a.normal_segment_no IS DISTINCT FROM m.segment_no",
    )


substation_codes = st.sampled_from(["SS1", "SS2", "SS3", "SS4", "SS5"])
feeder_codes = st.sampled_from(["F1", "F2", "F3", "F4"])
point_codes = st.sampled_from(["DP1", "DP2", "DP3"])
meter_codes = st.sampled_from(["M1", "M2", "M3", "M4", "M5"])
priorities = st.sampled_from([1, 2, 3, 3, 4, None])


class PlainSql(RuleBasedStateMachine):
    """Statements as old services send them, in one transaction that is rolled back at the end."""

    connection: psycopg.Connection[Any]

    def sql(self, statement: str, *parameters: Any) -> None:
        self.connection.execute(statement, parameters)

    @initialize()
    def begin(self) -> None:
        self.connection.rollback()
        self.sql(
            "INSERT INTO network_substations (substation_id, name)"
            " SELECT 'SS' || n, 'x' FROM generate_series(1, 4) n"
        )
        self.sql(
            "INSERT INTO network_feeders (feeder_id, substation_id, name)"
            " SELECT 'F' || n, s.id, 'x' FROM generate_series(1, 3) n"
            " JOIN network_substations s ON s.substation_id = 'SS' || (n + 1) / 2"
        )
        self.sql(
            "INSERT INTO network_distribution_points (dp_id, feeder_id, name)"
            " SELECT 'DP' || n, f.id, 'x' FROM generate_series(1, 2) n"
            " JOIN network_feeders f ON f.feeder_id = 'F' || n"
        )

    @rule(code=substation_codes)
    def substation(self, code: str) -> None:
        self.sql(
            "INSERT INTO network_substations (substation_id, name) VALUES (%s, 'x')"
            " ON CONFLICT (substation_id) DO UPDATE SET name = 'y'",
            code,
        )

    @rule(code=feeder_codes, substation=substation_codes)
    def feeder(self, code: str, substation: str) -> None:
        self.sql(
            "INSERT INTO network_feeders (feeder_id, substation_id, name)"
            " SELECT %s, id, 'x' FROM network_substations WHERE substation_id = %s"
            " ON CONFLICT (feeder_id) DO UPDATE SET substation_id = excluded.substation_id",
            code, substation,
        )  # fmt: skip

    @rule(code=point_codes, feeder=feeder_codes)
    def point(self, code: str, feeder: str) -> None:
        self.sql(
            "INSERT INTO network_distribution_points (dp_id, feeder_id, name)"
            " SELECT %s, id, 'x' FROM network_feeders WHERE feeder_id = %s"
            " ON CONFLICT (dp_id) DO UPDATE SET feeder_id = excluded.feeder_id",
            code, feeder,
        )  # fmt: skip

    @rule(
        code=meter_codes,
        substation=st.none() | substation_codes,
        feeder=st.none() | feeder_codes,
        point=st.none() | point_codes,
        status=st.sampled_from(["active", "active", "active", "inactive", None]),
    )
    def meter(
        self, code: str, substation: str | None, feeder: str | None, point: str | None, status: str | None
    ) -> None:
        self.sql(
            "INSERT INTO oms_meters (meter_number, substation_id, feeder_id, dp_id, status) VALUES (%s,"
            " (SELECT id FROM network_substations WHERE substation_id = %s),"
            " (SELECT id FROM network_feeders WHERE feeder_id = %s),"
            " (SELECT id FROM network_distribution_points WHERE dp_id = %s), %s)"
            " ON CONFLICT (meter_number) DO UPDATE SET substation_id = excluded.substation_id,"
            " feeder_id = excluded.feeder_id, dp_id = excluded.dp_id, status = excluded.status",
            code, substation, feeder, point, status,
        )  # fmt: skip

    @rule(meter=meter_codes, feeder=feeder_codes, priority=priorities)
    def map_feeder(self, meter: str, feeder: str, priority: int | None) -> None:
        self.sql(
            "INSERT INTO network_feeder_meters (meter_id, feeder_id, priority)"
            " SELECT m.id, f.id, %s FROM oms_meters m, network_feeders f"
            " WHERE m.meter_number = %s AND f.feeder_id = %s"
            " ON CONFLICT (feeder_id, meter_id) DO UPDATE SET priority = excluded.priority",
            priority, meter, feeder,
        )  # fmt: skip

    @rule(
        meter=meter_codes,
        codes=st.lists(substation_codes, min_size=1, max_size=5, unique=True),
        priority=priorities,
    )
    def map_substations(self, meter: str, codes: list[str], priority: int | None) -> None:
        self.sql(
            "INSERT INTO network_substation_meters (meter_id, substation_id, priority)"
            " SELECT m.id, s.id, %s FROM oms_meters m, network_substations s"
            " WHERE m.meter_number = %s AND s.substation_id = ANY (%s)"
            " ON CONFLICT (substation_id, meter_id) DO UPDATE SET priority = excluded.priority",
            priority, meter, codes,
        )  # fmt: skip

    @rule(
        meter=meter_codes,
        other=meter_codes,
        table=st.sampled_from(["network_feeder_meters", "network_substation_meters"]),
    )
    def move_mappings(self, meter: str, other: str, table: str) -> None:
        near = "feeder_id" if table == "network_feeder_meters" else "substation_id"
        self.sql(
            f"UPDATE {table} x SET meter_id = o.id FROM oms_meters m, oms_meters o"
            " WHERE x.meter_id = m.id AND m.meter_number = %s AND o.meter_number = %s AND NOT EXISTS"
            f" (SELECT FROM {table} y WHERE y.meter_id = o.id AND y.{near} = x.{near})",
            meter, other,
        )  # fmt: skip

    @rule(code=feeder_codes, new=st.sampled_from(["F1", "F2", "F8", "F9"]))
    def rename_feeder(self, code: str, new: str) -> None:
        self.sql(
            "UPDATE network_feeders SET feeder_id = %s WHERE feeder_id = %s"
            " AND NOT EXISTS (SELECT FROM network_feeders WHERE feeder_id = %s)",
            new, code, new,
        )  # fmt: skip

    @rule(
        table=st.sampled_from([
            ("network_substations", "substation_id", "SS1"), ("network_feeders", "feeder_id", "F1"),
            ("network_feeders", "feeder_id", "F2"), ("network_distribution_points", "dp_id", "DP1"),
            ("oms_meters", "meter_number", "M1"), ("oms_meters", "meter_number", "M2"),
        ])
    )  # fmt: skip
    def delete(self, table: tuple[str, str, str]) -> None:
        name, column, code = table
        self.sql(f"DELETE FROM {name} WHERE {column} = %s", code)

    @rule(meter=meter_codes, table=st.sampled_from(["network_feeder_meters", "network_substation_meters"]))
    def unmap(self, meter: str, table: str) -> None:
        self.sql(
            f"DELETE FROM {table} USING oms_meters m WHERE meter_id = m.id AND m.meter_number = %s", meter
        )

    @rule(
        table=st.sampled_from(
            [
                "network_feeder_meters",
                "network_substation_meters",
                "oms_meters",
                "network_distribution_points",
            ]
        ),
        is_rare=st.integers(0, 3),
    )
    def truncate(self, table: str, is_rare: int) -> None:
        if is_rare == 0:
            self.sql(f"TRUNCATE {table} RESTART IDENTITY CASCADE")

    @rule()
    def settle(self) -> None:
        self.sql("SELECT oms_topology.settle()")
        assert_image_is_true(self.connection)

    def teardown(self) -> None:
        try:
            self.settle()
            again = self.connection.execute("SELECT oms_topology.settle()").fetchone()
            assert again == (False,)
        finally:
            self.connection.rollback()


def test_the_image_follows_whatever_plain_sql_does(connection: psycopg.Connection[Any]) -> None:
    machine = type("PlainSqlHere", (PlainSql,), {"connection": connection})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=600 if LONG else 60,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


# -- single cases that matter


@pytest.fixture
def plain(database: Database) -> Iterator[psycopg.Connection[Any]]:
    database.store_network(
        Topology.from_text("SS1 > F1 > DP1 > M1..M3; SS1 > F2 > DP2 > M4; SS2; SS3; SS4; SS5")
    )
    url = database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, options="-c timezone=UTC", autocommit=True) as opened:
        yield opened


def spread(connection: psycopg.Connection[Any], meter: str, substations: int) -> None:
    connection.execute("INSERT INTO oms_meters (meter_number) VALUES (%s)", (meter,))
    connection.execute(
        "INSERT INTO network_substation_meters (meter_id, substation_id, priority)"
        " SELECT m.id, s.id, 3 FROM oms_meters m,"
        " (SELECT id FROM network_substations ORDER BY substation_id LIMIT %s) s"
        " WHERE m.meter_number = %s",
        (substations, meter),
    )
    connection.execute("SELECT oms_topology.settle()")


@pytest.mark.parametrize(("substations", "is_supplied"), [(1, True), (3, True), (4, False), (5, False)])
def test_the_fan_out_of_the_old_link_script_is_never_a_supply(
    plain: psycopg.Connection[Any], substations: int, is_supplied: bool
) -> None:
    spread(plain, "M9", substations)
    found = plain.execute(
        "SELECT segment_no IS NOT NULL, has_alternates FROM oms_meters WHERE meter_number = 'M9'"
    ).fetchone()
    assert found == (is_supplied, is_supplied and substations > 1)


def test_a_device_stored_without_a_row_is_adopted_by_the_row_that_comes_later(
    plain: psycopg.Connection[Any],
) -> None:
    plain.execute("INSERT INTO oms_topology.device (kind, code) VALUES ('feeder', 'F7')")
    plain.execute(
        "INSERT INTO network_feeders (feeder_id, substation_id, name)"
        " SELECT 'F7', id, 'seven' FROM network_substations WHERE substation_id = 'SS2'"
    )
    plain.execute("SELECT oms_topology.settle()")
    found = plain.execute(
        "SELECT d.name, p.code, d.record_id IS NOT NULL FROM oms_topology.device d"
        " JOIN oms_topology.device p ON p.device_no = d.parent_no WHERE d.code = 'F7'"
    ).fetchall()
    assert found == [("seven", "SS2", True)]


def test_each_settled_change_has_one_version(plain: psycopg.Connection[Any]) -> None:
    version = "SELECT max(topology_version), count(*) FROM oms_topology.topology_change"
    before = rows(plain, version)
    plain.execute("SELECT oms_topology.settle()")
    plain.execute("UPDATE oms_meters SET building_id = 'B7', power_status = 'on'")
    plain.execute("SELECT oms_topology.settle()")
    assert rows(plain, version) == before
    plain.execute("UPDATE oms_meters SET dp_id = NULL, feeder_id = NULL WHERE meter_number = 'M1'")
    plain.execute("SELECT oms_topology.settle()")
    after = rows(plain, version)
    assert after[0][0] > before[0][0]
    assert after[0][1] == before[0][1] + 1


# -- a plain UPDATE of status


def test_a_plain_update_of_status_is_recorded_as_a_signal_of_source_system(
    plain: psycopg.Connection[Any],
) -> None:
    plain.execute("UPDATE oms_meters SET power_status = 'off' WHERE meter_number = ANY ('{M1,M2}')")
    signals = rows(
        plain,
        "SELECT source, device_kind, device_code, power_status FROM oms_topology.signal ORDER BY signal_no",
    )
    assert signals == [("system", "meter", "M1", "off"), ("system", "meter", "M2", "off")]
    audit = rows(
        plain,
        "SELECT m.meter_number, e.source_type, e.previous_status, e.new_status,"
        " e.event_timestamp = m.last_power_change"
        " FROM oms_meter_status_events e JOIN oms_meters m ON m.id = e.meter_id ORDER BY 1",
    )
    assert audit == [("M1", "system", "unknown", "off", True), ("M2", "system", "unknown", "off", True)]


def test_an_update_that_changes_nothing_is_no_signal(plain: psycopg.Connection[Any]) -> None:
    plain.execute("UPDATE oms_meters SET power_status = 'unknown', building_id = 'B'")
    assert rows(plain, "SELECT count(*) FROM oms_topology.signal") == [(0,)]


def test_an_old_services_off_gives_way_to_a_newer_report_of_supply_and_to_no_older_one(
    plain: psycopg.Connection[Any],
) -> None:
    def energised(minutes: int) -> None:
        plain.execute(
            "SELECT insert_scada_event_with_meter_check(jsonb_build_object("
            " 'feederId', 'F1', 'alarmType', 'Energized', 'timestamp', %s::text))",
            ((datetime.now(UTC) + timedelta(minutes=minutes)).isoformat(),),
        )

    def power() -> list[tuple[Any, ...]]:
        return rows(plain, "SELECT power_status FROM oms_meters WHERE meter_number = 'M1'")

    energised(-30)
    assert power() == [("on",)]
    plain.execute("UPDATE oms_meters SET power_status = 'off', last_power_change = now() - interval '1 day'")
    energised(-5)
    assert power() == [("off",)]
    energised(1)
    assert power() == [("on",)]


def test_a_status_that_a_meter_is_inserted_with_is_its_first_report(plain: psycopg.Connection[Any]) -> None:
    plain.execute(
        "INSERT INTO oms_meters (meter_number, feeder_id, power_status, last_power_change)"
        " SELECT 'M9', id, 'on', '2025-09-01Z' FROM network_feeders WHERE feeder_id = 'F2'"
        " ON CONFLICT (meter_number) DO NOTHING"
    )
    found = rows(
        plain,
        "SELECT r.power_status, r.source, r.occurred_at = m.own_power_at, m.last_power_change = '2025-09-01Z'"
        " FROM oms_topology.meter_report r JOIN oms_meters m USING (meter_no) WHERE m.meter_number = 'M9'",
    )
    assert found == [("on", "system", True, True)]
    plain.execute(
        "INSERT INTO oms_meters (meter_number, power_status) VALUES ('M9', 'off')"
        " ON CONFLICT (meter_number) DO NOTHING"
    )
    assert rows(plain, "SELECT count(*) FROM oms_topology.meter_report") == [(1,)]


def test_deleting_or_truncating_meters_keeps_the_audit_and_nothing_that_a_new_meter_could_inherit(
    plain: psycopg.Connection[Any],
) -> None:
    plain.execute("UPDATE oms_meters SET power_status = 'off'")
    plain.execute("DELETE FROM oms_meters WHERE meter_number = 'M1'")
    assert rows(plain, "SELECT count(*) FROM oms_meter_status_events") == [(4,)]
    plain.execute("TRUNCATE oms_meters RESTART IDENTITY CASCADE")
    assert rows(plain, "SELECT count(*) FROM oms_topology.meter_report") == [(0,)]
    assert rows(plain, "SELECT count(*) FROM oms_topology.meter_status_event") == [(4,)]
