"""The ten steps as a whole: a dry run writes nothing and foretells the run, a second run changes no row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from oms_topology.errors import ConflictError
from oms_topology.migration import runner
from oms_topology.migration.plan import STEPS
from tests.migration.table_state import registry, row_versions

if TYPE_CHECKING:
    from collections.abc import Callable

    from oms_topology.migration.plan import MigrationStep
    from oms_topology.migration.report import MigrationReport
    from oms_topology.persistence.database import Database
    from tests.dirty_town.truth import Town


def told(report: MigrationReport) -> dict[str, object]:
    values = report.to_dict()
    for name in ("dry_run", "started_at", "finished_at"):
        del values[name]
    for step in values["steps"]:
        del step["was_resumed"]
    return values


@pytest.mark.parametrize("shape", ["A", "B"])
def test_a_dry_run_writes_nothing_and_foretells_the_run_and_a_second_run_changes_no_row(
    town_factory: Callable[..., tuple[Database, Town]], shape: str
) -> None:
    database, _ = town_factory(shape=shape)
    before = row_versions(database)
    foretold = database.migrate_legacy(dry_run=True)
    assert row_versions(database) == before
    done = database.migrate_legacy()
    assert told(done) == told(foretold)
    assert done.is_success
    after = row_versions(database)
    assert after != before
    again = database.migrate_legacy()
    assert row_versions(database) == after
    assert (again.totals, again.links, again.work_list) == (done.totals, done.links, done.work_list)


def test_the_order_of_rows_decides_nothing(town_factory: Callable[..., tuple[Database, Town]]) -> None:
    straight, _ = town_factory()
    turned, _ = town_factory()
    for table in ("meters", "onus", "kaifa_event_assets", "kaifa_event_usage_points", "onu_events",
                  "callcenter_customers", "oms_customers", "network_feeders", "network_substations",
                  "network_distribution_points", "oms_smart_meters"):  # fmt: skip
        turn_round(turned, table)
    for database in (straight, turned):
        database.migrate_legacy()
    assert registry(turned) == registry(straight)


def turn_round(database: Database, table: str) -> None:
    """Let the rows of a table lie the other way round."""
    with database.engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        connection.exec_driver_sql(
            f"CREATE TEMP TABLE turned ON COMMIT DROP AS SELECT * FROM {table} ORDER BY ctid DESC"
        )
        connection.exec_driver_sql(f"DELETE FROM {table}")
        connection.exec_driver_sql(f"INSERT INTO {table} SELECT * FROM turned")


def test_a_run_that_was_broken_off_between_steps_goes_on_where_it_stopped(
    town_factory: Callable[..., tuple[Database, Town]],
) -> None:
    undisturbed, _ = town_factory()
    database, _ = town_factory()

    class BrokenOffError(Exception):
        pass

    def break_off(step: MigrationStep, share: float) -> None:
        if step.number == 5 and share == 1.0:
            raise BrokenOffError

    with pytest.raises(BrokenOffError):
        database.migrate_legacy(progress=break_off)
    done = database.migrate_legacy()
    assert [step.number for step in done.steps if step.was_resumed] == [1, 2, 3, 4]
    assert told(done) == told(undisturbed.migrate_legacy())
    assert registry(database) == registry(undisturbed)
    assert not any(step.was_resumed for step in database.migrate_legacy().steps)


def test_two_migrations_at_once_are_one_and_an_error_that_may_pass(
    town_factory: Callable[..., tuple[Database, Town]],
) -> None:
    database, _ = town_factory(n_meters=100)
    met: list[str] = []

    def meanwhile(step: MigrationStep, share: float) -> None:
        if step.number == 3 and share == 0.0:
            with pytest.raises(ConflictError, match="Another migration"):
                runner.migrate(database.engine)
            met.append(step.name)

    database.migrate_legacy(progress=meanwhile)
    assert met == ["call_numbers"]


def test_an_empty_database_is_migrated_to_itself(database: Database) -> None:
    steps: list[tuple[int, float]] = []
    report = database.migrate_legacy(progress=lambda step, share: steps.append((step.number, share)))
    assert report.is_success
    assert report.totals.active_meters == 0
    assert {number for number, share in steps if share == 1.0} == {step.number for step in STEPS}
    assert report.findings == ()
