"""The embedded server among processes that share it, and that are killed."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest

from oms_topology.persistence.embedded import EmbeddedServer
from oms_topology.persistence.embedded.locks import is_locked, within
from tests.persistence.embedded_user import EmbeddedUser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "oms"


@pytest.fixture
def user_of() -> Iterator[Callable[[Path], EmbeddedUser]]:
    users: list[EmbeddedUser] = []

    def start(path: Path) -> EmbeddedUser:
        users.append(EmbeddedUser(path))
        return users[-1]

    yield start
    for user in users:
        user.kill()


def postmaster(home: Path) -> psutil.Process:
    return psutil.Process(int((home / "data" / "postmaster.pid").read_text().splitlines()[0]))


def is_down(home: Path) -> bool:
    return not is_locked(home / "server.lock")


def test_two_processes_share_one_server(home: Path, user_of: Callable[[Path], EmbeddedUser]) -> None:
    first = user_of(home)
    where = first.answer()
    assert where.startswith("ready ")
    second = user_of(home)
    assert second.answer() == where
    assert first.ask("write") == "written"
    assert second.ask("count") == "1"
    assert first.ask("stop") == "stopped"
    assert second.ask("write") == "written"
    assert second.ask("stop") == "stopped"
    assert is_down(home)
    assert not Path(where.removeprefix("ready ")).exists()


def test_processes_that_start_at_once_make_one_cluster(
    home: Path, user_of: Callable[[Path], EmbeddedUser]
) -> None:
    users = [user_of(home) for _ in range(4)]
    assert len({user.answer() for user in users}) == 1
    assert [user.ask("write") for user in users] == ["written"] * 4
    assert users[0].ask("count") == "4"


def test_the_server_ends_when_its_only_user_is_killed(
    home: Path, user_of: Callable[[Path], EmbeddedUser]
) -> None:
    user = user_of(home)
    sockets = Path(user.answer().removeprefix("ready "))
    user.ask("write")
    user.kill()
    assert within(30, lambda: is_down(home))
    assert within(30, lambda: not sockets.exists())
    again = user_of(home)
    again.answer()
    assert again.ask("count") == "1"


def test_the_server_stays_when_one_of_its_users_is_killed(
    home: Path, user_of: Callable[[Path], EmbeddedUser]
) -> None:
    victim, other = user_of(home), user_of(home)
    victim.answer()
    other.answer()
    main = postmaster(home)
    victim.kill()
    time.sleep(1)  # several times the keeper's period
    assert other.ask("write") == "written"
    assert postmaster(home) == main


def test_committed_rows_outlive_a_killed_server(home: Path, user_of: Callable[[Path], EmbeddedUser]) -> None:
    user = user_of(home)
    user.answer()
    for _ in range(20):
        user.ask("write")
    main = postmaster(home)
    main.kill()
    main.wait(120)
    with EmbeddedServer.start(home) as server, psycopg.connect(server.conninfo("postgres")) as connection:
        assert connection.execute("select count(*) from kept").fetchone() == (20,)


def test_committed_rows_outlive_the_death_of_everything(
    home: Path, user_of: Callable[[Path], EmbeddedUser]
) -> None:
    user = user_of(home)
    old_sockets = Path(user.answer().removeprefix("ready "))
    user.ask("write")
    main = postmaster(home)
    keeper = main.parent()
    assert keeper is not None
    for process in (keeper, main, *main.children(recursive=True)):
        process.kill()
    user.kill()
    with EmbeddedServer.start(home) as server, psycopg.connect(server.conninfo("postgres")) as connection:
        assert connection.execute("select count(*) from kept").fetchone() == (1,)
        assert not old_sockets.exists()


def test_without_its_keeper_the_server_still_stops_with_its_last_user(home: Path) -> None:
    server = EmbeddedServer.start(home)
    keeper = postmaster(home).parent()
    assert keeper is not None
    assert "keeper" in " ".join(keeper.cmdline())
    keeper.kill()
    server.stop()
    assert is_down(home)
    assert not server.socket_directory.exists()


def test_a_keeper_told_to_end_ends_the_server_cleanly(home: Path) -> None:
    server = EmbeddedServer.start(home)
    keeper = postmaster(home).parent()
    assert keeper is not None
    keeper.terminate()
    assert within(30, lambda: is_down(home))
    assert "database system is shut down" in (home / "server.log").read_text()
    server.stop()


def test_a_stale_pid_of_a_living_stranger_is_no_obstacle(home: Path) -> None:
    with EmbeddedServer.start(home):
        pid_file = home / "data" / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    os.chown(pid_file, (home / "data").stat().st_uid, -1)
    with EmbeddedServer.start(home) as server, psycopg.connect(server.conninfo("postgres")) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_the_terminals_interrupt_does_not_reach_the_server(
    home: Path, user_of: Callable[[Path], EmbeddedUser]
) -> None:
    with EmbeddedServer.start(home):
        main = postmaster(home)
        assert os.getsid(main.pid) != os.getsid(0)
        assert os.getpgid(main.pid) != os.getpgid(0)
        user = user_of(home)
        user.answer()
        user.process.send_signal(signal.SIGINT)
        user.process.wait(120)
        assert main.is_running()
