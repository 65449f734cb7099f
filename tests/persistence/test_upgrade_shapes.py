"""The upgrade of an empty database and of the three deployed shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from oms_topology.persistence.catalog import read_catalog
from oms_topology.persistence.schema import current_version, upgrade, verify, wanted_version
from tests.persistence.deployed.rows import Rows, all_rows, restored
from tests.persistence.deployed.shapes import BUILDERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    from oms_topology.persistence.catalog import Catalog
    from oms_topology.persistence.database import Database


def catalog_of(engine: Engine) -> Catalog:
    with engine.connect() as connection, connection.begin():
        return read_catalog(connection)


@pytest.fixture(params=list(BUILDERS))
def shape(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def deployed(empty_database: Database, shape: str) -> Engine:
    BUILDERS[shape](empty_database.engine)
    return empty_database.engine


def test_an_empty_database_is_upgraded(any_version_database: Database) -> None:
    engine = any_version_database.engine
    assert current_version(engine) is None
    report = upgrade(engine)
    assert (report.from_version, report.to_version, report.shape) == (None, wanted_version(), "empty")
    assert (report.set_aside, report.findings, report.repairs) == ((), (), ())
    assert report.changed
    assert verify(engine) == []


def test_a_clean_install_has_configuration_and_no_other_row(database: Database) -> None:
    filled = {table: len(rows) for table, rows in all_rows(database.engine).items() if rows}
    assert filled == {"oms_correlation_rules": 3, "oms_storm_mode_config": 1}


def test_each_shape_becomes_what_a_clean_install_is_and_loses_no_row(
    any_version_factory: Callable[..., Database], shape: str
) -> None:
    deployed = any_version_factory().engine
    BUILDERS[shape](deployed)
    before = all_rows(deployed)
    report = upgrade(deployed)
    assert report.shape == shape
    assert verify(deployed) == []
    _assert_same_catalog(any_version_factory(upgraded=True).engine, deployed)
    _assert_restorable(before, restored(deployed, all_rows(deployed)))


def _assert_same_catalog(fresh: Engine, upgraded: Engine) -> None:
    standing = catalog_of(upgraded)
    for section, expected in catalog_of(fresh).items():
        ours = {name: standing[section].get(name) for name in expected}
        assert ours == expected


def _assert_restorable(before: Rows, undone: Rows) -> None:
    """What was set aside, laid over the rows that stand, gives the rows from before the upgrade."""
    for table, rows in before.items():
        assert undone[table].keys() - rows.keys() <= new_configuration(undone[table], rows, table)
        for row_id, row in rows.items():
            now = undone[table][row_id]
            assert {key: now[key] for key in row} == row


def new_configuration(undone: dict[str, Any], before: dict[str, Any], table: str) -> set[str]:
    """Ids of the default rules that were not there before; nothing else may be added."""
    if table != "oms_correlation_rules":
        return set()
    known = {row["rule_name"] for row in before.values()}
    return {row_id for row_id, row in undone.items() if row["rule_name"] not in known}


def test_the_second_upgrade_changes_nothing(deployed: Engine) -> None:
    first = upgrade(deployed)
    rows, catalog = all_rows(deployed), catalog_of(deployed)
    second = upgrade(deployed)
    assert second.shape == "current"
    assert second.from_version == second.to_version == first.to_version
    assert not second.changed
    assert (second.set_aside, second.findings) == ((), ())
    assert all_rows(deployed) == rows
    assert catalog_of(deployed) == catalog


def test_a_dry_run_tells_the_same_and_leaves_no_trace(deployed: Engine) -> None:
    rows, catalog = all_rows(deployed), catalog_of(deployed)
    tried = upgrade(deployed, dry_run=True)
    assert current_version(deployed) is None
    assert all_rows(deployed) == rows
    assert catalog_of(deployed) == catalog
    done = upgrade(deployed)
    assert tried.dry_run
    assert not tried.changed
    assert (tried.shape, tried.set_aside, tried.findings, tried.repairs) == (
        done.shape,
        done.set_aside,
        done.findings,
        done.repairs,
    )


def test_the_report_counts_what_was_dirty(deployed: Engine, shape: str) -> None:
    report = upgrade(deployed)
    aside = {(one.table_name, one.reason): one.row_count for one in report.set_aside}
    assert aside[("oms_meters", "illegal value: power_status")] == 2
    assert aside[("oms_meters", "no value: power_status, communication_status")] == 1
    assert aside[("oms_outage_events", "illegal value: severity")] == 2
    orphans = {key: count for key, count in aside.items() if key[1].startswith("orphan")}
    expected_orphans = {
        "A": {},
        "B": {
            ("callcenter_customers", "orphan: meter_id names no row of oms_meters"): 1,
            ("kaifa_event_assets", "orphan: meter_id names no row of oms_meters"): 1,
            ("kaifa_event_usage_points", "orphan: meter_id names no row of oms_meters"): 1,
            ("meters", "orphan: oms_meter_id names no row of oms_meters"): 1,
            ("onu_events", "orphan: meter_id names no row of oms_meters"): 2,
            ("scada_event_affected_meters", "orphan: meter_id names no row of oms_meters"): 2,
            ("scada_events", "orphan: outage_event_id names no row of oms_outage_events"): 1,
        },
        "C": {("scada_event_affected_meters", "orphan: scada_event_id names no row of scada_events"): 3},
    }
    assert orphans == expected_orphans[shape]
    found = {finding.rule: finding.count for finding in report.findings}
    assert found == {
        "mapped_to_many_substations": 5,
        "repeated_status_event": 20,
        "sample_row": 3 if shape == "C" else 5,
        "mapping_against_registry": 1,
    }


def test_rules_and_storm_configuration_stand_once_and_cannot_double(deployed: Engine) -> None:
    upgrade(deployed)
    with deployed.begin() as connection:
        rules = connection.exec_driver_sql(
            "SELECT rule_name, correlation_window_minutes FROM oms_correlation_rules ORDER BY rule_name"
        ).all()
        storms = connection.exec_driver_sql(
            "SELECT auto_activation_threshold FROM oms_storm_mode_config"
        ).all()
        # What the old base script does at each run.
        repeated = connection.exec_driver_sql(
            "INSERT INTO oms_correlation_rules (rule_name, source_types)"
            " VALUES ('SCADA Priority', ARRAY['scada']) ON CONFLICT DO NOTHING"
        )
        stormed = connection.exec_driver_sql(
            "INSERT INTO oms_storm_mode_config (is_active) VALUES (false) ON CONFLICT DO NOTHING"
        )
    # The copy that an operator changed stays, not the untouched ones.
    assert [tuple(row) for row in rules] == [
        ("Own Rule", 30),
        ("SCADA Priority", 15),
        ("Standard Outage Detection", 45),
        ("Storm Mode Detection", 60),
    ]
    assert len(storms) == 1
    assert (repeated.rowcount, stormed.rowcount) == (0, 0)


def test_repaired_values_are_legal_and_mean_what_they_said(deployed: Engine) -> None:
    upgrade(deployed)
    with deployed.connect() as connection:
        statuses = connection.exec_driver_sql(
            "SELECT meter_number, power_status, communication_status, status FROM oms_meters"
            " WHERE meter_number IN ('M00000001', 'M00000002', 'M00000004', 'M00000005', 'M00000007')"
            " ORDER BY meter_number"
        ).all()
        outages = connection.exec_driver_sql(
            "SELECT event_id, severity, status FROM oms_outage_events ORDER BY event_id DESC"
        ).all()
    assert [tuple(row) for row in statuses] == [
        ("M00000001", "unknown", "online", "active"),
        ("M00000002", "on", "offline", "active"),
        ("M00000004", "unknown", "unknown", "active"),
        ("M00000005", "on", "online", "active"),
        ("M00000007", "on", "online", "decomissioned"),
    ]
    assert [tuple(row)[1:] for row in outages] == [
        ("critical", "detected"),
        ("medium", "cleared"),
        ("high", "detected"),
    ]


def test_what_is_not_ours_stays_as_it_was(empty_database: Database) -> None:
    engine = empty_database.engine
    BUILDERS["A"](engine)
    before = catalog_of(engine)
    upgrade(engine)
    after = catalog_of(engine)
    for section in ("tables", "views", "functions"):
        foreign = {
            name: value
            for name, value in before[section].items()
            if ("crew" in name and name != "public.oms_crew_assignments") or "oms_outage_customers" in name
        }
        assert foreign
        for name, value in foreign.items():
            assert after[section][name] == value
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM oms_outage_customers").scalar_one() == 1
        assert connection.exec_driver_sql("SELECT count(*) FROM oms_available_crew").scalar_one() == 1
