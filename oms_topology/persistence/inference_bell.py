"""Waits until something was said that conclusions are to be drawn from."""

from __future__ import annotations

from selectors import EVENT_READ, DefaultSelector
from typing import TYPE_CHECKING, Any, Final

from oms_topology.persistence.database import translated_errors

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy import Connection, Engine

__all__ = ["InferenceBell"]

_LISTEN: Final = "LISTEN oms_topology_inference"
_WAITING: Final = "SELECT pg_advisory_lock_shared(hashtext('oms_topology.inference_bell'))"
_AWAKE: Final = "SELECT pg_advisory_unlock_shared(hashtext('oms_topology.inference_bell'))"
_WORK: Final = """
    SELECT EXISTS (SELECT FROM oms_topology.inference_work)
        OR EXISTS (SELECT FROM oms_topology.inference_due WHERE due_at <= clock_timestamp())
"""


class InferenceBell:
    """Rung by whoever records something while somebody waits; keeps one connection of its own.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        The primary server.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pooled: Connection | None = None

    def wait(self, timeout_s: float) -> bool:
        """Wait until there is work, at the most so many seconds; tells whether there is.

        Raises
        ------
        StoreUnavailableError
            The database cannot be reached now; the next call connects anew.
        """
        try:
            with translated_errors():
                return self._waited(self._driver(), timeout_s)
        except BaseException:
            # Whoever rings would take a broken connection for a waiting worker.
            self.close()
            raise

    def close(self) -> None:
        """Give the connection back."""
        if self._pooled is not None:
            self._pooled.invalidate()
            self._pooled.close()
        self._pooled = None

    def _driver(self) -> psycopg.Connection[Any]:
        if self._pooled is None:
            self._pooled = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            self._connection_of(self._pooled).execute(_LISTEN)
        return self._connection_of(self._pooled)

    @staticmethod
    def _connection_of(pooled: Connection) -> psycopg.Connection[Any]:
        connection: psycopg.Connection[Any] | None = pooled.connection.driver_connection
        assert connection is not None  # noqa: S101
        return connection

    def _waited(self, connection: psycopg.Connection[Any], timeout_s: float) -> bool:
        # Who commits after this sees the lock, and rings; who committed before is seen by the question.
        connection.execute(_WAITING)
        try:
            if self._has_work(connection):
                return True
            with DefaultSelector() as selector:
                selector.register(connection.fileno(), EVENT_READ)
                selector.select(max(0.0, timeout_s))
        finally:
            connection.execute(_AWAKE)
        return self._has_work(connection)

    @staticmethod
    def _has_work(connection: psycopg.Connection[Any]) -> bool:
        row = connection.execute(_WORK).fetchone()
        return bool(row and row[0])
