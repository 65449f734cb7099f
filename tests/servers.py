"""Real PostgreSQL servers for tests: one per version and test process, and a fresh database per test.

They trade durability for speed. Whatever becomes of the test process, its servers end with it; a directory
that a killed one left is swept by the next.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from oms_topology.errors import EmbeddedServerError
from oms_topology.persistence.database import Database
from oms_topology.persistence.embedded import EmbeddedServer, find_binaries
from oms_topology.persistence.embedded.locks import is_locked

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["TESTED_MAJORS", "LiveServer", "in_ci", "installations", "live_server", "missing", "roomy_place"]

TESTED_MAJORS = (13, 14, 15, 18)
TEMPLATE = "oms_template"
_PREFIX = "oms_topology_tests-"
_IN_MEMORY = Path("/dev/shm")
_ENOUGH_BYTES = 4_000_000_000
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "max_wal_size": "256MB",
}


class LiveServer:
    """A running server that hands out databases of its own to tests."""

    def __init__(self, server: EmbeddedServer) -> None:
        self.embedded = server
        self._admin = psycopg.connect(server.conninfo("postgres"), autocommit=True)
        self._has_template = False

    @property
    def major(self) -> int:
        """Major version of the server."""
        return self._admin.info.server_version // 10_000

    def create(self, *, upgraded: bool = False, like: Database | None = None) -> Database:
        """Make a database of a fresh name: empty, as ``Database.upgrade`` makes it, or as another one.

        Nobody may be connected to the other one.
        """
        name = f"test_{uuid.uuid4().hex}"
        if upgraded and not self._has_template:
            self._make_template()
        template = TEMPLATE if upgraded else "template0"
        if like is not None:
            template = str(like.engine.url.database)
        # Copying files beats logging every page where nothing is ever flushed; older versions do so anyway.
        how = " STRATEGY file_copy" if self.major >= 15 else ""
        command = sql.SQL("CREATE DATABASE {} TEMPLATE {}" + how)
        self._admin.execute(command.format(sql.Identifier(name), sql.Identifier(template)))
        return Database(self.embedded.url(name))

    def drop(self, database: Database) -> None:
        """Close a database of :meth:`create` and remove it, whoever is still connected."""
        database.close()
        name = sql.Identifier(str(database.engine.url.database))
        self._admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))

    def close(self) -> None:
        """Leave the server."""
        self._admin.close()
        self.embedded.stop()

    def _make_template(self) -> None:
        self.embedded.create_database(TEMPLATE)
        with Database(self.embedded.url(TEMPLATE)) as database:
            database.upgrade()
        self._has_template = True


def live_server(binaries: Path | None = None) -> Iterator[LiveServer]:
    """Start a server in a temporary directory, and remove both at the end: the body of a fixture."""
    _sweep()
    home = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=roomy_place()))
    try:
        live = LiveServer(EmbeddedServer.start(home, binaries=binaries, settings=_SETTINGS))
        try:
            yield live
        finally:
            live.close()
    finally:
        shutil.rmtree(home)


def installations() -> dict[int, Path]:
    """Find a PostgreSQL of each major version: the library's choice, fetched ones, the system's."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    fetched = Path(os.environ.get("OMS_TOPOLOGY_TEST_BINARIES") or Path(cache) / "oms_topology_tests")
    places = [None, *fetched.glob("*/bin"), *Path("/usr/lib/postgresql").glob("*/bin")]
    found: dict[int, Path] = {}
    for place in places:
        try:
            binaries = find_binaries(place)
        except EmbeddedServerError:
            continue
        found.setdefault(binaries.major, binaries.directory)
    return found


def missing(what: str) -> None:
    """Skip a test for something that is not at hand; where everything must be (CI), fail it."""
    if in_ci():
        pytest.fail(f"{what} is missing, and this is CI")
    pytest.skip(f"{what} is missing")


def in_ci() -> bool:
    """Tell whether nothing may be missing."""
    return os.environ.get("CI") == "true"


def roomy_place() -> Path:
    """Give the directory for data that a test throws away."""
    # A thousand files per database: in memory that is 20 ms, on a busy disk 300.
    try:
        in_memory = shutil.disk_usage(_IN_MEMORY).free > _ENOUGH_BYTES
    except OSError:
        in_memory = False
    return _IN_MEMORY if in_memory else Path(tempfile.gettempdir())


def _sweep() -> None:
    for home in roomy_place().glob(f"{_PREFIX}*"):
        try:
            # Younger ones may be about to be locked by another test process.
            stale = time.time() - home.stat().st_mtime > 60 and not is_locked(home / "users.lock")
        except (OSError, EmbeddedServerError):
            continue
        if stale:
            shutil.rmtree(home, ignore_errors=True)
