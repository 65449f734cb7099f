"""A dirty town is migrated: killed at random moments and resumed, run again, and held against the truth.

``OMS_TOPOLOGY_MIGRATION_METERS`` and ``OMS_TOPOLOGY_MIGRATION_SEED`` make it another town and other moments.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from pyproj import Geod

from oms_topology.errors import ConflictError
from oms_topology.viz.migration_report import migration_report_html
from tests.dirty_town.filling import fill_town
from tests.dirty_town.kinds import Customer, Names, Place, Registered
from tests.dirty_town.truth import AQABA
from tests.migration.table_state import registry, row_versions
from tests.properties.test_topology_image import UNEQUAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oms_topology.migration.report import MigrationReport
    from oms_topology.persistence.database import Database
    from tests.dirty_town.truth import Town
    from tests.servers import LiveServer

METERS = int(os.environ.get("OMS_TOPOLOGY_MIGRATION_METERS", "500"))
SEED = int(os.environ.get("OMS_TOPOLOGY_MIGRATION_SEED", "2"))
KILLS = 3

RUN = """
import sys
from oms_topology import Database
with Database(sys.argv[1]) as database:
    database.migrate_legacy(progress=lambda step, share: print(step.number, share, flush=True))
"""
METER_ROWS = """
    SELECT m.meter_number, m.status, s.substation_id, f.feeder_id, d.dp_id, c.customer_id
    FROM oms_meters m LEFT JOIN network_substations s ON s.id = m.substation_id
    LEFT JOIN network_feeders f ON f.id = m.feeder_id
    LEFT JOIN network_distribution_points d ON d.id = m.dp_id
    LEFT JOIN oms_customers c ON c.id = m.customer_id
"""


class Migrated(NamedTuple):
    """A town and what its migration made of it."""

    town: Town
    database: Database
    report: MigrationReport
    foretold: MigrationReport
    before: dict[str, list[tuple[Any, ...]]]

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with self.database.engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query, parameters)]

    def meters(self) -> dict[str, dict[str, Any]]:
        heads = ("number", "status", "substation", "feeder", "point", "customer")
        return {row[0]: dict(zip(heads, row, strict=True)) for row in self.rows(METER_ROWS)}

    def of_truth(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The active row of each physical meter that has one."""
        meters = self.meters()
        for row in range(self.town.n_meters):
            found = meters.get(self.town.number(row))
            if found and found["status"] == "active":
                yield row, found


UNTOUCHED = {
    "substations": "SELECT to_jsonb(t) FROM network_substations t ORDER BY t.id",
    "feeders": "SELECT to_jsonb(t) FROM network_feeders t ORDER BY t.id",
    "distribution points": "SELECT to_jsonb(t) FROM network_distribution_points t ORDER BY t.id",
    "customers": "SELECT to_jsonb(t) FROM oms_customers t WHERE customer_id !~ '^CALL' ORDER BY t.id",
    "outages": "SELECT to_jsonb(t) FROM oms_outage_events t ORDER BY t.id",
}


@pytest.fixture(scope="module")
def migrated(pg_server: LiveServer) -> Iterator[Migrated]:
    """Shape A, not disturbed."""
    database = pg_server.create()
    town = fill_town(database.engine, shape="A", n_meters=METERS, seed=SEED)
    database.upgrade()
    asked = Migrated(town, database, None, None, {})  # type: ignore[arg-type]
    before = {name: asked.rows(query) for name, query in UNTOUCHED.items()}
    foretold = database.migrate_legacy(dry_run=True)
    yield Migrated(town, database, database.migrate_legacy(), foretold, before)
    pg_server.drop(database)


def test_killed_at_random_moments_it_ends_as_if_it_had_not_been(
    migrated: Migrated, pg_server: LiveServer
) -> None:
    """Shape B this time: what it lacks and has too much makes no difference in the end."""
    database = pg_server.create()
    fill_town(database.engine, shape="B", n_meters=METERS, seed=SEED)
    database.upgrade()
    rng = random.Random(SEED)
    for _ in range(KILLS):
        _run_and_kill(database, rng)
    report = _run_at_last(database)
    assert registry(database) == registry(migrated.database)
    assert report.totals == migrated.report.totals
    before = row_versions(database)
    again = database.migrate_legacy()
    assert row_versions(database) == before
    assert again.totals == report.totals
    pg_server.drop(database)


def _run_and_kill(database: Database, rng: random.Random) -> None:
    """Let a process migrate until it has told so much of its progress, and a moment longer."""
    url = database.engine.url.render_as_string(hide_password=False)
    running = subprocess.Popen([sys.executable, "-c", RUN, url], stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    for _ in range(rng.randint(1, 8)):
        running.stdout.readline()
    time.sleep(rng.random() / 4)
    running.kill()
    running.wait()
    running.stdout.close()


def _run_at_last(database: Database) -> MigrationReport:
    """Go on as soon as the server has noticed that the killed process is gone."""
    for _ in range(600):
        try:
            return database.migrate_legacy()
        except ConflictError:
            time.sleep(0.1)
    raise AssertionError("the killed process still holds its lock")


def test_the_trial_foretells_the_run(migrated: Migrated) -> None:
    assert migrated.foretold.dry_run
    assert [step.counts for step in migrated.foretold.steps] == [
        step.counts for step in migrated.report.steps
    ]
    assert (migrated.foretold.totals, migrated.foretold.links) == (
        migrated.report.totals,
        migrated.report.links,
    )


def test_every_meter_whose_place_is_known_hangs_where_it_really_hangs(migrated: Migrated) -> None:
    town, compared = migrated.town, 0
    for row, found in migrated.of_truth():
        if town.registered[row] == Registered.FAR or not town.is_linkable[row]:
            continue
        assert found["substation"] == town.substation_code(town.substation[row]), town.number(row)
        assert found["feeder"] == town.feeder_code(town.feeder[row]), town.number(row)
        compared += 1
    assert compared > METERS / 2


def test_no_meter_hangs_where_it_does_not_but_those_that_were_linked_so_before(migrated: Migrated) -> None:
    """Whatever the dirt: no link is better than a wrong one."""
    town = migrated.town
    wrong = {
        found["number"]: (
            Registered(town.registered[row]).name,
            Place(town.place[row]).name,
            found["substation"],
        )
        for row, found in migrated.of_truth()
        if found["substation"] not in (None, town.substation_code(town.substation[row]))
    }
    linked_before = {town.number(row) for row in town.rows(Registered.FAR).tolist()}
    assert {number: why for number, why in wrong.items() if number not in linked_before} == {}
    assert wrong
    found = {finding.rule: finding for finding in migrated.report.findings}
    far = {town.number(row) for row in town.rows(Registered.FAR).tolist()}
    assert found["link_beyond_limit"].count >= len(far & set(migrated.meters()))


def test_w106_customers_are_those_that_a_rule_can_find_and_no_others(migrated: Migrated) -> None:
    town, right = migrated.town, Counter[Customer]()
    for row, found in migrated.of_truth():
        kind = Customer(town.customer[row])
        if town.place[row] != Place.RIGHT and kind in (
            Customer.PLACE,
            Customer.NONE,
            Customer.BUILDING_SHARED,
        ):
            continue  # between two buildings the other one's customer may be the nearest
        code = found["customer"]
        if kind == Customer.NONE:
            assert code is None or code.startswith("CALL"), town.number(row)
        else:
            assert code == town.customer_code(row), (town.number(row), kind)
        right[kind] += 1
    assert set(right) == set(Customer)


def test_w109_one_physical_meter_is_one_row_where_there_is_evidence(migrated: Migrated) -> None:
    town, meters = migrated.town, migrated.meters()
    assert {town.number(row) for row in range(town.n_meters) if town.names[row] != Names.LONG_MRID} <= set(
        meters
    )
    tied = (
        Names.ASSET_IS_NUMBER,
        Names.ASSET_SPELT_OTHERWISE,
        Names.ASSET_IN_REGISTRY,
        Names.REGISTERED_TWICE,
    )
    second = [
        town.asset(row)
        for row in range(town.n_meters)
        if town.names[row] in tied
        and town.registered[row] != Registered.INACTIVE
        and town.asset(row) != town.number(row)
        and meters.get(town.asset(row), {}).get("status") == "active"
    ]
    assert second == []
    long_ones = migrated.rows("SELECT count(*) FROM oms_meters WHERE meter_number LIKE 'urn:uuid:%%'")
    assert long_ones == [(len(town.rows(Names.LONG_MRID)),)]


def test_w102_both_truths_of_the_topology_say_the_same(migrated: Migrated) -> None:
    assert migrated.rows(UNEQUAL.replace("%", "%%")) == []
    two = migrated.rows(
        "SELECT m.meter_number FROM network_feeder_meters x JOIN oms_meters m ON m.id = x.meter_id"
        " WHERE m.status = 'active' GROUP BY 1 HAVING count(*) = 2"
    )
    town = migrated.town
    meant = {town.number(row) for row in town.rows(Registered.TWO_FEEDERS).tolist()}
    assert {number for (number,) in two} == meant & set(migrated.meters())


def test_the_report_is_what_the_tables_say(migrated: Migrated) -> None:
    totals = migrated.report.totals
    active = [found for found in migrated.meters().values() if found["status"] == "active"]
    assert totals.active_meters == len(active)
    for kind in ("substation", "feeder", "customer"):
        assert getattr(totals, f"with_{kind}") == sum(found[kind] is not None for found in active), kind
    for links in migrated.report.links:
        assert sum(links.by_status.values()) == len(active), links.target_kind
    covered = {one.substation_id: one.meters for one in migrated.report.coverage}
    assert covered == {code: sum(found["substation"] == code for found in active) for code in covered}
    assert len(covered) == migrated.rows("SELECT count(*) FROM network_substations")[0][0]


def test_links_by_place_are_within_their_limit_to_the_metre(migrated: Migrated) -> None:
    geod = Geod(ellps="WGS84")
    found = migrated.rows(
        "SELECT l.distance_m, m.location_lng::float, m.location_lat::float, s.location_lng::float,"
        " s.location_lat::float FROM oms_topology.meter_link l JOIN oms_meters m USING (meter_no)"
        " JOIN network_substations s ON s.id = l.target_id"
        " WHERE l.target_kind = 'substation' AND l.status = 'linked' AND l.distance_m IS NOT NULL"
    )
    assert len(found) > METERS / 10
    for distance_m, *ends in found:
        assert distance_m == pytest.approx(geod.inv(*ends)[2], abs=1e-3)
        assert distance_m <= 5_000


def assert_untouched(migrated: Migrated, *names: str) -> None:
    for name in names:
        assert migrated.before[name]
        assert migrated.rows(UNTOUCHED[name]) == migrated.before[name], name


def test_w100_no_substation_is_moved_or_renamed(migrated: Migrated) -> None:
    assert_untouched(migrated, "substations", "feeders", "distribution points")


def test_w105_no_customer_gets_the_building_and_place_of_somebody_elses_onu(migrated: Migrated) -> None:
    assert_untouched(migrated, "customers")


def test_w107_no_outage_is_made_of_history_and_none_is_doubled(migrated: Migrated) -> None:
    assert_untouched(migrated, "outages")


def test_w108_distribution_points_need_no_feeder_of_a_certain_name(migrated: Migrated) -> None:
    assert migrated.rows("SELECT count(*) FROM network_feeders WHERE feeder_id = 'FEEDER_001'") == [(0,)]
    town = migrated.town
    by_building = {
        found["number"]: (found["point"], "DP-" + town.building_code(town.building[row]))
        for row, found in migrated.of_truth()
        if town.names[row] == Names.ONU_ONLY
        and town.place[row] == Place.RIGHT
        and town.registered[row] == Registered.NOT
    }
    assert by_building
    assert {number: points for number, points in by_building.items() if points[0] != points[1]} == {}


def test_the_page_of_the_report_shows_the_town(migrated: Migrated) -> None:
    page = migration_report_html(migrated.report)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;" in page
    assert AQABA[0] in page
    private = [row[0] for row in migrated.rows("SELECT phone FROM oms_customers WHERE phone IS NOT NULL")]
    assert private
    assert not [number for number in private if number in page]
    assert "Flat " not in page
    assert "House " not in page
