"""The servers that the other tests stand on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
from sqlalchemy import inspect, text

from tests.servers import TESTED_MAJORS

if TYPE_CHECKING:
    from collections.abc import Callable

    from oms_topology.persistence.database import Database
    from tests.servers import LiveServer


def test_empty_database_has_no_table(empty_database: Database) -> None:
    assert inspect(empty_database.engine).get_table_names() == []


def test_database_is_upgraded_and_as_it_should_be(database: Database) -> None:
    assert "oms_meters" in inspect(database.engine).get_table_names()
    assert database.verify() == []


def test_every_database_is_another_one(database_factory: Callable[..., Database]) -> None:
    first, second = database_factory(upgraded=True), database_factory(upgraded=True)
    with first.engine.begin() as connection:
        connection.execute(text("create table only_here ()"))
    assert "only_here" in inspect(first.engine).get_table_names()
    assert "only_here" not in inspect(second.engine).get_table_names()


def test_each_version_serves(any_version_server: LiveServer, any_version_database: Database) -> None:
    with any_version_database.engine.connect() as connection:
        number = int(connection.execute(text("show server_version_num")).scalar_one()) // 10_000
    assert number == any_version_server.major
    assert number in TESTED_MAJORS


def test_a_dropped_database_is_gone_even_while_somebody_is_connected(pg_server: LiveServer) -> None:
    database = pg_server.create()
    name = str(database.engine.url.database)
    forgotten = psycopg.connect(pg_server.embedded.conninfo(name))
    pg_server.drop(database)
    with psycopg.connect(pg_server.embedded.conninfo("postgres")) as connection:
        known = connection.execute("select count(*) from pg_database where datname = %s", [name]).fetchone()
    assert known == (0,)
    forgotten.close()
