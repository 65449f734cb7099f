"""A PostgreSQL that can be killed and comes back at the same address, with all that it had committed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg

from oms_topology.persistence.database import Database
from oms_topology.persistence.embedded import find_binaries
from oms_topology.persistence.embedded.account import account_for, within_reach
from oms_topology.persistence.embedded.cluster import PORT, ROLE, initialise, new_socket_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CrashServer", "crash_server"]

# What is written is with the kernel, and outlives any process; only a dead machine would need fsync.
_SETTINGS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "on", "max_wal_size": "256MB"}


class CrashServer:
    """A running server of its own."""

    def __init__(self, home: Path) -> None:
        home.chmod(0o711)
        self._data = home / "data"
        self._log = home / "server.log"
        self._account = account_for(self._data)
        self._binaries = within_reach(find_binaries(), self._account)
        initialise(home, self._binaries, self._account)
        self._sockets = new_socket_directory(self._account)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it has recovered and answers."""
        options = _SETTINGS | {"listen_addresses": "", "unix_socket_directories": str(self._sockets)}
        account = self._account
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._binaries.directory / "postgres"), "-D", str(self._data)]
                + [word for name, value in options.items() for word in ("-c", f"{name}={value}")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                user=account.uid if account else None, group=account.gid if account else None,
                extra_groups=[] if account else None,
            )  # fmt: skip
        until = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.database_address("postgres")).close()
            except psycopg.OperationalError:
                assert time.monotonic() < until, self._log.read_text(errors="replace")[-2000:]
                time.sleep(0.02)
            else:
                return

    def kill(self) -> None:
        """End all its processes at once, as a crash would."""
        if self._process is None:
            return
        postmaster = psutil.Process(self._process.pid)
        family = [postmaster, *postmaster.children(recursive=True)]
        for process in family:
            process.kill()
        self._process.wait()
        psutil.wait_procs(family, timeout=30)
        self._process = None

    def database_address(self, name: str) -> str:
        """Address of a database, for libpq."""
        return f"host={self._sockets} port={PORT} user={ROLE} dbname={name}"

    def create(self, name: str) -> Database:
        """Make a database as ``Database.upgrade`` makes it."""
        with psycopg.connect(self.database_address("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0'.encode())
        made = Database(f"postgresql://{ROLE}@/{name}?host={self._sockets}&port={PORT}")
        made.upgrade()
        return made

    def close(self) -> None:
        """End it, and remove its socket."""
        self.kill()
        shutil.rmtree(self._sockets, ignore_errors=True)


def crash_server(place: Path) -> Iterator[CrashServer]:
    """Start one in a temporary directory: the body of a fixture."""
    home = Path(tempfile.mkdtemp(prefix="oms_topology_crash-", dir=place))
    try:
        server = CrashServer(home)
        try:
            server.start()
            yield server
        finally:
            server.close()
    finally:
        shutil.rmtree(home)
