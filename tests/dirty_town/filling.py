"""Installs the deployed schema in one of its shapes and fills it with a town."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from psycopg import sql

from tests.dirty_town.tables import Table, tables
from tests.dirty_town.truth import Town, make_town
from tests.persistence.deployed.shapes import install_shape_a, install_shape_b

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg import Connection
    from sqlalchemy import Connection as SqlConnection
    from sqlalchemy import Engine

__all__ = ["SHAPES", "fill_town"]

SHAPES = {"A": install_shape_a, "B": install_shape_b}
_CHUNK = 20_000
_MANY = 50_000


def fill_town(engine: Engine, *, shape: str = "A", n_meters: int = 100, seed: int = 0) -> Town:
    """Make a town in an empty database, in one transaction after the schema; the same for the same arguments.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        An empty database of which the user is superuser.
    shape : {"A", "B"}
        Which of the deployed shapes; B lacks foreign keys, and has ids that name nothing.
    n_meters : int
        Physical meters, 100 to a million and more.
    seed : int
        Which town.

    Returns
    -------
    Town
        The truth.
    """
    SHAPES[shape](engine)
    town = make_town(n_meters, seed)
    with engine.begin() as connection, _without_indexes(connection, n_meters >= _MANY):
        driver: Connection = connection.connection.driver_connection  # type: ignore[assignment]
        # No foreign key looks at each row; those of shape B's orphans would not stand it anyway.
        driver.execute("SET LOCAL session_replication_role = replica")
        for table in tables(town, shape=shape):
            _copy(driver, table)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")
    return town


@contextmanager
def _without_indexes(connection: SqlConnection, worth_it: bool) -> Iterator[None]:
    """Drop all indexes that no key needs, and make them again in bulk."""
    found = connection.exec_driver_sql(
        "SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index i"
        " JOIN pg_class c ON c.oid = i.indexrelid"
        " WHERE c.relnamespace = 'public'::regnamespace AND NOT c.relispartition AND NOT i.indisunique"
    ).all()
    indexes = [(str(name), str(definition)) for name, definition in found] if worth_it else []
    for name, _ in indexes:
        connection.exec_driver_sql(f"DROP INDEX {name}")
    yield
    for _, definition in indexes:
        connection.exec_driver_sql(definition)


def _copy(driver: Connection, table: Table) -> None:
    command = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table.name),
        sql.SQL(", ").join(sql.Identifier(name.strip()) for name in table.columns.split(",")),
    )
    with driver.cursor() as cursor, cursor.copy(command) as copy:
        for chunk in _chunks(table):
            copy.write(chunk)


def _chunks(table: Table) -> Iterator[str]:
    for first in range(0, len(table.rows), _CHUNK):
        yield "".join(
            "\t".join(["\\N" if value is None else str(value) for value in row]) + "\n"
            for row in table.rows[first : first + _CHUNK]
        )
