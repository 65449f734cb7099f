"""Indexes and foreign keys stand aside while much is written, and are as they were when the step is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError

from oms_topology.migration.bulk import make_anew, set_aside
from oms_topology.persistence.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from oms_topology.persistence.database import Database
    from tests.dirty_town.truth import Town

DEFINED = """
    SELECT pg_get_indexdef(i.indexrelid) FROM pg_index i
    WHERE i.indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
    UNION ALL
    SELECT k.conrelid::regclass || '.' || k.conname || ' ' || pg_get_constraintdef(k.oid) FROM pg_constraint k
    WHERE k.connamespace = 'public'::regnamespace AND k.contype = 'f'
    ORDER BY 1
"""


def defined(database: Database) -> list[str]:
    with database.engine.connect() as connection:
        return list(connection.exec_driver_sql(DEFINED).scalars())


def test_the_first_run_writes_in_bulk_and_leaves_every_index_and_key_and_a_second_run_does_not(
    town_factory: Callable[..., tuple[Database, Town]],
) -> None:
    database, _ = town_factory()
    before = defined(database)
    statements: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    database.migrate_legacy()
    drops = ("DROP INDEX", "ALTER TABLE")
    dropped = {
        sql.split("TABLE")[0].split("public.")[0].strip() for sql in statements if sql.startswith(drops)
    }
    assert dropped == {"DROP INDEX", "ALTER"}
    assert defined(database) == before
    assert verify(database.engine) == []
    statements.clear()
    database.migrate_legacy()
    assert [sql for sql in statements if sql.startswith(drops)] == []


def test_what_a_definition_does_not_tell_stays_and_a_key_that_does_not_hold_is_refused(
    town_factory: Callable[..., tuple[Database, Town]],
) -> None:
    database, _ = town_factory(n_meters=100)
    with database.engine.connect() as connection:
        connection.exec_driver_sql(
            "COMMENT ON INDEX public.idx_oms_meters_feeder IS 'asked for by the crew desk'"
        )
        aside = set_aside(connection, "oms_meters", ["feeder_id"], 100)
        assert [sql.split()[:2] for sql in aside] == [["ALTER", "TABLE"]]
        connection.exec_driver_sql("SET LOCAL oms_topology.keeps_mappings = 'on'")
        connection.exec_driver_sql("UPDATE public.oms_meters SET feeder_id = gen_random_uuid()")
        with pytest.raises(IntegrityError):
            make_anew(connection, aside)


def test_a_key_that_did_not_hold_before_stops_nothing(
    town_factory: Callable[..., tuple[Database, Town]],
) -> None:
    database, _ = town_factory(n_meters=100)
    with database.engine.connect() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        connection.exec_driver_sql(
            "UPDATE public.oms_meters SET feeder_id = gen_random_uuid() WHERE meter_no = 1"
        )
        aside = set_aside(connection, "oms_meters", ["feeder_id"], 100)
        assert [sql.split()[:2] for sql in aside] == [["CREATE", "INDEX"]]
        make_anew(connection, aside)


def test_few_rows_are_written_as_always(town_factory: Callable[..., tuple[Database, Town]]) -> None:
    database, _ = town_factory(n_meters=100)
    with database.engine.connect() as connection:
        assert set_aside(connection, "oms_meters", [], 1) == []
