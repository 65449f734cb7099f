"""Database: addresses, sessions, the embedded default, and errors in the library's own words."""

from __future__ import annotations

import threading
import traceback
from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy import exc as sa_errors

import oms_topology as omt
from oms_topology.errors import ConflictError, EmbeddedServerError, StoreUnavailableError
from oms_topology.persistence.database import Database, as_engine, translated_errors
from oms_topology.persistence.embedded.locks import is_locked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Connection, Engine

    from tests.servers import LiveServer


def scalar(database: Database, query: str) -> object:
    with database.engine.connect() as connection:
        return connection.execute(text(query)).scalar_one()


def test_it_is_part_of_the_public_face() -> None:
    assert omt.Database is Database


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:p@h.example:5433/oms",
        "postgres://u:p@h.example:5433/oms",
        "postgresql+psycopg2://u:p@h.example:5433/oms",
        "postgresql+psycopg://u:p@h.example:5433/oms",
    ],
)
def test_every_spelling_of_an_address_uses_our_driver(address: str) -> None:
    url = Database(address).url
    assert url == make_url("postgresql+psycopg://u:p@h.example:5433/oms")
    assert Database(url).url == url


def test_the_words_of_libpq_are_an_address(empty_database: Database, pg_server: LiveServer) -> None:
    words = pg_server.embedded.conninfo(str(empty_database.url.database))
    with Database(words) as database:
        assert scalar(database, "select current_database()") == empty_database.url.database


@pytest.mark.parametrize("address", ["mysql://u:geheim@h/d", "sqlite://", "password=geheim and more", ""])
def test_other_addresses_are_refused_without_showing_them(address: str) -> None:
    if not address:
        assert Database(address).url.database is None  # libpq's own defaults
        return
    with pytest.raises(ValueError, match="no address of a") as raised:
        Database(address)
    assert "geheim" not in "".join(traceback.format_exception(raised.value))


def test_the_password_is_never_shown() -> None:
    database = Database("postgresql://u:geheim@127.0.0.1:1/oms?connect_timeout=2")
    assert "geheim" not in repr(database)
    with pytest.raises(StoreUnavailableError) as raised, translated_errors(), database.engine.connect():
        pass
    assert "geheim" not in "".join(traceback.format_exception(raised.value))


def test_sessions_are_in_utc_and_have_a_name(empty_database: Database) -> None:
    assert scalar(empty_database, "show timezone") == "UTC"
    assert scalar(empty_database, "show application_name") == "oms_topology"


def test_options_of_the_address_are_kept(empty_database: Database) -> None:
    url = empty_database.url.update_query_dict(
        {"options": "-c work_mem=7MB -c timezone=Asia/Tokyo", "application_name": "billing"}
    )
    with Database(url) as database:
        assert scalar(database, "show work_mem") == "7MB"
        assert scalar(database, "show timezone") == "UTC"
        assert scalar(database, "show application_name") == "billing"


def test_a_connection_that_died_is_replaced(empty_database: Database) -> None:
    with empty_database.engine.connect() as connection:
        pid = connection.execute(text("select pg_backend_pid()")).scalar_one()
    with psycopg.connect(empty_database.url.set(drivername="postgresql").render_as_string()) as other:
        other.execute("select pg_terminate_backend(%s, 5000)", [pid])
    assert scalar(empty_database, "select pg_backend_pid()") != pid


def test_an_engine_stays_its_owners(empty_database: Database) -> None:
    engine = create_engine(empty_database.url)
    with Database(engine) as database:
        assert database.engine is engine
        assert as_engine(engine) is engine
        assert as_engine(database) is engine
        scalar(database, "select 1")
    assert engine.pool.checkedin() == 1  # type: ignore[attr-defined]
    engine.dispose()


# -------------------------------------------------------------------------------------- embedded


def test_an_embedded_database_is_there_at_once_and_kept(tmp_path: Path) -> None:
    home = tmp_path / "oms"
    with Database.embedded(home) as database, database.engine.begin() as connection:
        assert connection.execute(text("select current_database()")).scalar_one() == "oms"
        connection.execute(text("create table kept as select 1 as number"))
    assert not is_locked(home / "server.lock")
    with Database.embedded(str(home)) as database:
        assert scalar(database, "select number from kept") == 1


def test_without_a_path_it_lives_in_the_users_data_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMS_TOPOLOGY_DSN", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    with Database.embedded() as database:
        assert scalar(database, "select 1") == 1
    assert (tmp_path / "share" / "oms_topology" / "data" / "PG_VERSION").exists()


def test_a_dsn_goes_before_any_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_database: Database
) -> None:
    address = empty_database.url.render_as_string(hide_password=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setenv("OMS_TOPOLOGY_DSN", address)
    with Database.embedded() as database:
        assert scalar(database, "select current_database()") == empty_database.url.database
    monkeypatch.delenv("OMS_TOPOLOGY_DSN")
    with Database.embedded(tmp_path / "oms", dsn=address) as database:
        assert scalar(database, "select current_database()") == empty_database.url.database
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_was_asked_for_goes_before_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMS_TOPOLOGY_DSN", "postgresql://production.example/oms")
    with Database.embedded(tmp_path / "oms") as database:
        assert scalar(database, "select current_database()") == "oms"


def test_an_embedded_database_that_cannot_start(tmp_path: Path) -> None:
    (tmp_path / "PG_VERSION").write_text("15\n")
    with pytest.raises(EmbeddedServerError):
        Database.embedded(tmp_path)


# ---------------------------------------------------------------------------------------- schema


def test_upgrade_verify_and_sql(empty_database: Database) -> None:
    assert empty_database.verify() != []
    script = empty_database.upgrade_sql()
    assert script.startswith("BEGIN;")
    empty_database.upgrade(dry_run=True)
    assert scalar(empty_database, "select to_regclass('oms_meters')") is None
    empty_database.upgrade()
    assert scalar(empty_database, "select to_regclass('oms_meters')") == "oms_meters"
    assert empty_database.verify() == []
    assert "BEGIN" not in empty_database.upgrade_sql()


# ---------------------------------------------------------------------------------------- errors


def test_a_server_that_is_not_there() -> None:
    nowhere = as_engine("postgresql://u@/oms?host=/nonexistent")
    with (
        pytest.raises(StoreUnavailableError, match="cannot be reached") as raised,
        translated_errors(),
        nowhere.connect(),
    ):
        pass
    assert raised.value.is_transient


def test_a_connection_that_the_server_ends(empty_database: Database) -> None:
    with (
        psycopg.connect(_conninfo(empty_database)) as connection,
        pytest.raises(StoreUnavailableError, match="not available"),
        translated_errors(),
    ):
        connection.execute("select pg_terminate_backend(pg_backend_pid())")


def test_a_pool_that_is_used_up(empty_database: Database) -> None:
    engine = create_engine(empty_database.url, pool_size=1, max_overflow=0, pool_timeout=0.01)
    with (
        engine.connect(),
        pytest.raises(StoreUnavailableError, match="pool"),
        translated_errors(),
        engine.connect(),
    ):
        pass
    engine.dispose()


def test_a_lock_that_is_not_to_be_had(empty_database: Database) -> None:
    engine = _with_counters(empty_database)
    with engine.begin() as holder, engine.connect() as waiter:
        _increment(holder, 1)
        waiter.execute(text("set lock_timeout = '20ms'"))
        with pytest.raises(ConflictError, match="lock timeout") as raised, translated_errors():
            _increment(waiter, 1)
    assert raised.value.is_transient


def test_a_serialisation_failure(empty_database: Database) -> None:
    engine = _with_counters(empty_database).execution_options(isolation_level="SERIALIZABLE")
    with engine.connect() as first:
        first.execute(text("select sum(value) from counter"))
        with engine.begin() as second:
            _increment(second, 1)
        with pytest.raises(ConflictError), translated_errors():
            _increment(first, 1)


def test_of_two_in_a_deadlock_one_is_told(empty_database: Database) -> None:
    engine = _with_counters(empty_database)
    both_hold_one, conflicts = threading.Barrier(2), []

    def update(first: int, second: int) -> None:
        try:
            with translated_errors(), engine.begin() as connection:
                connection.execute(text("set local deadlock_timeout = '10ms'"))
                _increment(connection, first)
                both_hold_one.wait(30)
                _increment(connection, second)
        except ConflictError as error:
            conflicts.append(error)

    threads = [threading.Thread(target=update, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(conflicts) == 1
    assert "deadlock" in str(conflicts[0])


@pytest.mark.parametrize("through", ["sqlalchemy", "psycopg"])
def test_other_errors_stay_what_they_are(empty_database: Database, through: str) -> None:
    expected, run = _violation(empty_database, through)
    with pytest.raises(expected), translated_errors():
        run()


def test_errors_do_not_show_what_was_written(empty_database: Database) -> None:
    with empty_database.engine.begin() as connection:
        connection.execute(text("create table person (name varchar(3))"))
    with pytest.raises(sa_errors.DataError) as raised, empty_database.engine.begin() as connection:
        connection.execute(text("insert into person values (:name)"), {"name": "Um Kulthum"})
    assert "Kulthum" not in str(raised.value)


def _conninfo(database: Database) -> str:
    return database.url.set(drivername="postgresql").render_as_string(hide_password=False)


def _with_counters(database: Database) -> Engine:
    with database.engine.begin() as connection:
        connection.execute(text("create table counter (id integer primary key, value integer)"))
        connection.execute(text("insert into counter values (1, 0), (2, 0)"))
    return database.engine


def _increment(connection: Connection, number: int) -> None:
    connection.execute(text("update counter set value = value + 1 where id = :number"), {"number": number})


def _violation(database: Database, through: str) -> tuple[type[Exception], Callable[[], object]]:
    if through == "sqlalchemy":

        def run() -> None:
            with database.engine.connect() as connection:
                connection.execute(text("select 1/0"))

        return sa_errors.DataError, run

    def run_plain() -> None:
        with psycopg.connect(_conninfo(database)) as connection:
            connection.execute("select 1/0")

    return psycopg.errors.DivisionByZero, run_plain
