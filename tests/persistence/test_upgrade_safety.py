"""An upgrade that fails, that is in somebody's way, or that is not alone."""

from __future__ import annotations

import multiprocessing
import uuid
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine

from oms_topology.errors import ConflictError, SchemaUpgradeError, SchemaVersionError
from oms_topology.persistence import plan
from oms_topology.persistence.catalog import read_catalog
from oms_topology.persistence.plan import SqlFile, sql_files
from oms_topology.persistence.schema import current_version, require_version, upgrade, verify, wanted_version
from tests.persistence.deployed.rows import all_rows
from tests.persistence.deployed.shapes import build_shape_a, build_shape_b

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from oms_topology.persistence.catalog import Catalog
    from oms_topology.persistence.database import Database

FILE_NAMES = [file.name for file in sql_files("0001")]


def catalog_of(engine: Engine) -> Catalog:
    with engine.connect() as connection, connection.begin():
        return read_catalog(connection)


def with_failure_after(name: str, monkeypatch: pytest.MonkeyPatch, statement: str) -> None:
    whole = sql_files("0001")
    cut = [file.name for file in whole].index(name) + 1
    broken = SqlFile("broken.sql", f"-- The next line fails.\n\n{statement}")
    monkeypatch.setattr(plan, "sql_files", lambda revision: (*whole[:cut], broken, *whole[cut:]))


def test_a_failure_anywhere_leaves_the_database_as_it_was(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = empty_database.engine
    build_shape_b(engine)
    rows, catalog = all_rows(engine), catalog_of(engine)
    for name in FILE_NAMES:
        with monkeypatch.context() as patched:
            with_failure_after(name, patched, "SELECT 1 / 0;")
            with pytest.raises(SchemaUpgradeError, match=r"broken\.sql, line 3 \(SELECT 1 / 0;\)"):
                upgrade(engine)
        assert current_version(engine) is None
        assert catalog_of(engine) == catalog
    assert all_rows(engine) == rows
    upgrade(engine)
    assert verify(engine) == []


def test_a_failure_on_an_empty_database_leaves_it_empty(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_failure_after(FILE_NAMES[-1], monkeypatch, "SELECT no_such_function();")
    with pytest.raises(SchemaUpgradeError, match="no_such_function"):
        upgrade(empty_database.engine)
    assert catalog_of(empty_database.engine) == {"tables": {}, "views": {}, "functions": {}, "types": {}}
    with empty_database.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT to_regnamespace('oms_topology')").scalar_one() is None


def test_an_error_does_not_quote_a_row(empty_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    build_shape_a(empty_database.engine)
    with_failure_after(FILE_NAMES[-1], monkeypatch, "SELECT phone::uuid FROM public.oms_customers;")
    with pytest.raises(SchemaUpgradeError) as caught:
        upgrade(empty_database.engine)
    assert "InvalidTextRepresentation 22P02" in str(caught.value)
    assert "0790000" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_view_that_hangs_on_a_changed_one_stops_the_upgrade_whole(empty_database: Database) -> None:
    engine = empty_database.engine
    build_shape_a(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP VIEW network_feeders_with_meters")
        connection.exec_driver_sql(
            "CREATE VIEW network_feeders_with_meters AS SELECT feeder_id FROM network_feeders"
        )
        connection.exec_driver_sql("CREATE VIEW own_report AS SELECT * FROM network_feeders_with_meters")
    catalog = catalog_of(engine)
    with pytest.raises(SchemaUpgradeError, match=r"90_views\.sql"):
        upgrade(engine)
    assert catalog_of(engine) == catalog


def test_a_table_in_use_is_a_conflict_and_not_a_failure(empty_database: Database) -> None:
    engine = empty_database.engine
    build_shape_a(engine)
    with engine.begin() as other:
        other.exec_driver_sql("LOCK TABLE oms_meters IN ROW EXCLUSIVE MODE")
        with pytest.raises(ConflictError) as caught:
            upgrade(engine, lock_timeout_s=0.05)
    assert caught.value.is_transient
    assert current_version(engine) is None
    assert upgrade(engine).shape == "A"


def _upgrade_in_a_process(url: str, started: object, answers: object) -> None:
    engine = create_engine(url)
    started.wait()  # type: ignore[attr-defined]
    answers.put(upgrade(engine).shape)  # type: ignore[attr-defined]
    engine.dispose()


def test_upgrades_at_once_run_one_after_the_other(empty_database: Database) -> None:
    build_shape_b(empty_database.engine)
    spawn = multiprocessing.get_context("spawn")
    started, answers = spawn.Barrier(3), spawn.Queue()
    url = empty_database.engine.url.render_as_string(hide_password=False)
    processes = [spawn.Process(target=_upgrade_in_a_process, args=(url, started, answers)) for _ in range(3)]
    for process in processes:
        process.start()
    shapes = sorted(answers.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()
    assert shapes == ["B", "current", "current"]
    assert verify(empty_database.engine) == []


def test_a_version_from_the_future_is_left_alone(database: Database) -> None:
    engine = database.engine
    require_version(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE oms_topology.schema_version SET version_num = '9999'")
    for refused in (upgrade, require_version):
        with pytest.raises(SchemaVersionError) as caught:
            refused(engine)
        assert (caught.value.found, caught.value.wanted) == ("9999", wanted_version())


def test_a_database_without_the_schema_names_the_command(empty_database: Database) -> None:
    with pytest.raises(SchemaVersionError, match="oms-topology db upgrade") as caught:
        require_version(empty_database.engine)
    assert caught.value.found is None


def test_rows_that_no_rule_can_repair_are_reported_and_stay(empty_database: Database) -> None:
    engine = empty_database.engine
    build_shape_a(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO oms_meter_status_events"
            " (meter_id, event_type, source_type, new_status, event_timestamp)"
            " SELECT id, 'meltdown', 'scada', 'unknown', now() FROM oms_meters LIMIT 2"
        )
        # A key that is not there, on a table that others hang on: its rows cannot move.
        connection.exec_driver_sql(
            "ALTER TABLE network_feeders DROP CONSTRAINT network_feeders_substation_id_fkey"
        )
        connection.exec_driver_sql(
            "UPDATE network_feeders SET substation_id = gen_random_uuid() WHERE feeder_id = 'FD003'"
        )
    report = upgrade(engine)
    found = {finding.rule: (finding.ids, finding.count) for finding in report.findings}
    check = "oms_meter_status_events_event_type_check"
    assert found["check_not_validated"] == ((check,), 2)
    assert found["foreign_key_not_validated"] == (("network_feeders_substation_id_fkey",), 1)
    assert [(str(one.severity), one.name, one.state) for one in verify(engine)] == [
        ("warning", "public.network_feeders.network_feeders_substation_id_fkey", "not validated"),
        ("warning", f"public.oms_meter_status_events.{check}", "not validated"),
    ]
    with engine.connect() as connection:
        kept = connection.exec_driver_sql(
            "SELECT count(*) FROM ONLY oms_meter_status_events WHERE event_type = 'meltdown'"
        ).scalar_one()
    assert kept == 2


def test_the_owner_of_the_tables_needs_no_other_privilege(empty_database: Database) -> None:
    engine = empty_database.engine
    owner, name = f"owner_{uuid.uuid4().hex}", engine.url.database
    with engine.begin() as connection:
        connection.exec_driver_sql(f'CREATE ROLE "{owner}"')
        connection.exec_driver_sql(f'ALTER DATABASE "{name}" OWNER TO "{owner}"')
    plain = create_engine(engine.url, connect_args={"options": f"-c role={owner}"})
    try:
        build_shape_b(plain)
        assert upgrade(plain).shape == "B"
        assert verify(plain) == []
    finally:
        plain.dispose()
        with engine.begin() as connection:
            connection.exec_driver_sql(f'REASSIGN OWNED BY "{owner}" TO CURRENT_USER')
            connection.exec_driver_sql(f'DROP OWNED BY "{owner}"')
            connection.exec_driver_sql(f'DROP ROLE "{owner}"')
