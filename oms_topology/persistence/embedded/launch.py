"""Bringing the server of a directory up, and down."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from oms_topology.errors import EmbeddedServerError
from oms_topology.persistence.embedded import keeper
from oms_topology.persistence.embedded.account import account_for, within_reach
from oms_topology.persistence.embedded.binaries import Account, environment, find_binaries
from oms_topology.persistence.embedded.cluster import (
    PORT,
    SOCKET_PREFIX,
    check_version,
    handed_path,
    initialise,
    new_socket_directory,
    opened,
)
from oms_topology.persistence.embedded.locks import WAIT_S, is_locked, within

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["bring_up", "checked_settings", "shut_down"]

_LOG_LIMIT_BYTES: Final = 1_000_000

_SETTINGS: Final = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "max_connections": "100",
    # Taken as they are used. A migration writes gigabytes: fewer checkpoints, fewer images of whole pages.
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Statements and error details hold meter numbers and names of people; the client sees them anyway.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "logging_collector": "off",
}
_OURS_ALONE: Final = frozenset(
    {"listen_addresses", "port", "unix_socket_directories", "unix_socket_permissions", "data_directory"}
)


def checked_settings(settings: Mapping[str, str]) -> dict[str, str]:
    """Lay settings over the defaults; refuse those that would open the server or lose it."""
    for name in settings:
        if name.lower() in _OURS_ALONE:
            raise EmbeddedServerError(f"The setting {name} is the embedded server's own; leave it out.")
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", name):
            raise EmbeddedServerError(f"{name!r} is no name of a PostgreSQL setting.")
    return {**_SETTINGS, **settings}


def bring_up(home: Path, binaries: Path | None, settings: Mapping[str, str]) -> Path:
    """Launch the server unless it runs, and give its socket directory once it takes connections."""
    launched = False
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if not is_locked(home / "server.lock"):
            if launched:
                raise EmbeddedServerError(f"PostgreSQL did not start: {_last_words(home)}")
            _launch(home, binaries, settings)
            launched = True
        elif (socket_directory := _answering_socket(home)) is not None:
            return socket_directory
        # Locked and silent: it is starting, recovering, or the last processes of a killed one are ending.
        time.sleep(0.003)
    raise EmbeddedServerError(f"PostgreSQL was not ready after {WAIT_S:.0f} s; see {home / 'server.log'}.")


def _launch(home: Path, binaries: Path | None, settings: Mapping[str, str]) -> None:
    data = home / "data"
    account = account_for(data)
    usable = within_reach(find_binaries(binaries), account)
    if data.exists():
        check_version(data, usable)
        _clear_remains(data)
    else:
        initialise(home, usable, account)
    socket_directory = new_socket_directory(account)
    options = {
        **settings,
        "listen_addresses": "",
        "port": str(PORT),
        "unix_socket_directories": str(socket_directory),
        "unix_socket_permissions": "0700",
    }
    with opened(data, os.O_RDONLY) as directory, opened(home / "server.lock", os.O_RDWR) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        command = [str(usable.directory / "postgres"), "-D", handed_path(data, directory, account)]
        command += [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        _hand_to_keeper(home, socket_directory, account, (directory, lock), command)


def _hand_to_keeper(
    home: Path, sockets: Path, account: Account | None, descriptors: tuple[int, ...], command: list[str]
) -> None:
    owner = "" if account is None else f"{account.uid}:{account.gid}"
    handed = ",".join(map(str, descriptors))
    places = [str(home / "start.lock"), str(home / "users.lock"), str(sockets)]
    log = home / "server.log"
    full = log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES
    with log.open("wb" if full else "ab") as output:
        minder = subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-S", keeper.__file__, *places, owner, handed, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=environment(),
            pass_fds=descriptors,
            start_new_session=True,
        )
    if minder.wait() != 0:
        shutil.rmtree(sockets, ignore_errors=True)
        raise EmbeddedServerError(f"PostgreSQL could not be launched: {_last_words(home)}")


def shut_down(home: Path) -> None:
    """End the server that runs, wait until all its processes are gone, and remove its socket."""
    found = _postmaster(home / "data")
    if found is None:
        return
    pid, socket_directory, _ = found
    if _is_postmaster_of(pid, home / "data"):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
    if not within(WAIT_S, lambda: not is_locked(home / "server.lock")):
        raise EmbeddedServerError(f"PostgreSQL did not stop within {WAIT_S:.0f} s; its process is {pid}.")
    shutil.rmtree(socket_directory, ignore_errors=True)


def _postmaster(data: Path) -> tuple[int, Path, str] | None:
    """Process id, socket directory and state, as the server's own file has them; None without such."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        return int(lines[0]), Path(lines[4]), lines[7].strip()
    except (OSError, ValueError, IndexError):
        return None


def _answering_socket(home: Path) -> Path | None:
    found = _postmaster(home / "data")
    if found is None or found[2] != "ready":
        return None
    with closing(socket.socket(socket.AF_UNIX)) as client:
        try:
            client.connect(str(found[1] / f".s.PGSQL.{PORT}"))
        except OSError:
            return None
    return found[1]


def _is_postmaster_of(pid: int, data: Path) -> bool:
    # A process id alone proves nothing: it may be another process's by now.
    try:
        return (
            Path(f"/proc/{pid}/cwd").samefile(data) and Path(f"/proc/{pid}/comm").read_text() == "postgres\n"
        )
    except OSError:
        return False


def _clear_remains(data: Path) -> None:
    """Remove what a killed server left; called only when no process of ours holds the server lock."""
    found = _postmaster(data)
    if found is not None and _is_postmaster_of(found[0], data):
        raise EmbeddedServerError(
            f"Process {found[0]} runs a server on {data} that this library did not start; stop it first."
        )
    if found is not None and found[1].name.startswith(SOCKET_PREFIX):
        shutil.rmtree(found[1], ignore_errors=True)
    (data / "postmaster.pid").unlink(missing_ok=True)


def _last_words(home: Path) -> str:
    lines = (home / "server.log").read_text(errors="replace").splitlines()
    return " / ".join(lines[-4:]) or "it left no message"
