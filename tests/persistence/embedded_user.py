"""A user of an embedded server in a process of its own, led by lines on its standard input.

Run as ``python embedded_user.py PATH [UID GID PYTHON]``: with a user given, root becomes that user first, and
PYTHON is an interpreter that this user can run.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg

from oms_topology.errors import OmsTopologyError
from oms_topology.persistence.embedded import EmbeddedServer


class EmbeddedUser:
    """Starts such a process, and talks to it."""

    def __init__(self, path: Path, *, become: tuple[int, int, str] | None = None) -> None:
        words = [] if become is None else [str(word) for word in become]
        root = Path(__file__).parents[2]
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(path), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(root)},
        )

    def answer(self) -> str:
        """Wait for the next line that it says."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ask(self, command: str) -> str:
        """Tell it something, and wait for what it says."""
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.answer()

    def kill(self) -> None:
        """End it as ``kill -9`` does."""
        self.process.kill()
        self.close()

    def close(self) -> None:
        """Wait for its end, and free what it held."""
        with self.process:
            assert self.process.stdin is not None
            self.process.stdin.close()


def _main() -> None:
    path, *become = sys.argv[1:]
    if become:
        os.setgroups([])
        os.setgid(int(become[1]))
        os.setuid(int(become[0]))
        sys.executable = become[2]
    try:
        server = EmbeddedServer.start(path)
    except OmsTopologyError as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        return
    print(f"ready {server.socket_directory}", flush=True)
    with psycopg.connect(server.conninfo("postgres"), autocommit=True) as connection:
        with connection.transaction():  # one after another: "if not exists" is no lock
            connection.execute("select pg_advisory_xact_lock(1)")
            connection.execute("create table if not exists kept (number integer)")
        for line in sys.stdin:
            _obey(line.strip(), server, connection)


def _obey(command: str, server: EmbeddedServer, connection: psycopg.Connection) -> None:
    if command == "write":
        connection.execute("insert into kept select count(*) from kept")
        print("written", flush=True)
    elif command == "count":
        row = connection.execute("select count(*) from kept").fetchone()
        assert row is not None
        print(row[0], flush=True)
    elif command == "stop":
        connection.close()
        server.stop()
        print("stopped", flush=True)


if __name__ == "__main__":
    # A shell in the background hands its children an ignored SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _main()
