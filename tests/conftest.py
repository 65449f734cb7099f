"""Fixtures of all tests: real PostgreSQL servers, and databases of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.servers import TESTED_MAJORS, LiveServer, installations, live_server, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from oms_topology.persistence.database import Database

# The first example of a fresh machine waits until loops are compiled: time decides no test.
settings.register_profile("untimed", settings(), deadline=None)
settings.load_profile("untimed")

# A program of its own, which needs the extra fuzz.
collect_ignore = ["properties/fuzz_parsers.py"]


@pytest.fixture(scope="session")
def pg_server() -> Iterator[LiveServer]:
    """The server that the library itself would choose; one per test process."""
    yield from live_server()


@pytest.fixture(scope="session", params=TESTED_MAJORS, ids=lambda major: f"pg{major}")
def any_version_server(request: pytest.FixtureRequest) -> Iterator[LiveServer]:
    """One server after another, of each version that the library supports and tests."""
    binaries = installations().get(request.param)
    if binaries is None:
        missing(f"PostgreSQL {request.param} (.ci/fetch_postgres fetches 13 and 14)")
    yield from live_server(binaries)


@pytest.fixture
def database_factory(pg_server: LiveServer) -> Iterator[Callable[..., Database]]:
    """Makes fresh databases, ``upgraded=True`` or empty; they are gone after the test."""
    yield from _factory(pg_server)


@pytest.fixture
def empty_database(database_factory: Callable[..., Database]) -> Database:
    """A fresh database without any table."""
    return database_factory()


@pytest.fixture
def database(database_factory: Callable[..., Database]) -> Database:
    """A fresh database as ``Database.upgrade`` makes it."""
    return database_factory(upgraded=True)


@pytest.fixture
def any_version_factory(any_version_server: LiveServer) -> Iterator[Callable[..., Database]]:
    """As ``database_factory``, on each version."""
    yield from _factory(any_version_server)


@pytest.fixture
def any_version_database(any_version_factory: Callable[..., Database]) -> Database:
    """A fresh database without any table, on each version."""
    return any_version_factory()


def _factory(server: LiveServer) -> Iterator[Callable[..., Database]]:
    made: list[Database] = []

    def make(*, upgraded: bool = False) -> Database:
        made.append(server.create(upgraded=upgraded))
        return made[-1]

    yield make
    for database in made:
        server.drop(database)
