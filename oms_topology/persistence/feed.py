"""The change feed: what changed in the database since a position; nothing lost, nothing told twice.

Transactions commit in another order than they begin, write and are numbered in. So a position is no number
and no time, but a snapshot: what the present one sees and the last one did not is new, in whatever order.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from selectors import EVENT_READ, DefaultSelector
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import psycopg
from psycopg import IsolationLevel
from sqlalchemy import Engine, text

from oms_topology.errors import StoreUnavailableError
from oms_topology.persistence.database import Database, as_engine, translated_errors
from oms_topology.persistence.meter_status import MeterStatuses, numbers_of, read_statuses

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray
    from sqlalchemy import URL, Connection

__all__ = ["ChangeFeed", "Changes", "forget_changes_before"]

_POLL_S: Final = 1.0
_SOON_S: Final = 0.02
_MOST_ID_BYTES: Final = 256 * 1024 * 1024
# Another cluster, another database, or a standby that took over: there a position means nothing.
_HOME = """
    SELECT pg_is_in_recovery(),
           CASE WHEN NOT pg_is_in_recovery() THEN
               concat_ws('/', (SELECT system_identifier FROM pg_control_system()),
                         left(pg_walfile_name(pg_current_wal_lsn()), 8),
                         (SELECT oid FROM pg_database WHERE datname = current_database())) END
"""
_SINCE = """
    SELECT seen_now::text, is_complete, is_settling, change_count, status_bytes, concerns_all_meters,
           topology_version
    FROM oms_topology.changes_since(%s::pg_snapshot)
"""
_METERS = "SELECT oms_topology.meters_changed_since(%s::pg_snapshot)"
_VERSION = "SELECT COALESCE(max(topology_version), 0) FROM oms_topology.topology_change"
_WAITING = "SELECT pg_advisory_lock_shared(hashtext('oms_topology.change'))"
_AWAKE = "SELECT pg_advisory_unlock_shared(hashtext('oms_topology.change'))"
_FORGET = text("SELECT oms_topology.forget_changes_before(:instant)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What one poll found; false when that is nothing.

    Attributes
    ----------
    position : str
        Where the feed stands after these. Stored together with what was made of them, it lets another feed
        go on from there.
    is_everything : bool
        Whether ``meters`` are all meters, since the log does not reach back to the position (or there was
        none): whatever is not among them does not exist.
    topology_version : int or None
        The newest version of the topology, if there is a new one; else None.
    meters : MeterStatuses
        The present statuses of the meters that may have changed, each once.
    """

    position: str
    is_everything: bool = False
    topology_version: int | None = None
    meters: MeterStatuses = field(default_factory=MeterStatuses)

    def __bool__(self) -> bool:
        return bool(
            self.is_everything
            or self.topology_version is not None
            or len(self.meters)
            or len(self.meters.gone)
        )


class _News(NamedTuple):
    """What ``oms_topology.changes_since`` tells."""

    seen_now: str
    is_complete: bool
    is_settling: bool
    change_count: int
    status_bytes: int
    concerns_all_meters: bool
    topology_version: int | None

    @property
    def is_quiet(self) -> bool:
        return self.is_complete and not self.change_count


class ChangeFeed:
    """Follows the meters' statuses and the topology of a database, from whatever process.

    One feed belongs to one thread, and keeps one connection of its own, beside the pool.

    Parameters
    ----------
    database : Database, str, sqlalchemy.URL or sqlalchemy.Engine
        A database with the schema of this version; the primary server, not a standby.
    position : str, optional
        :attr:`position` of an earlier feed, to go on from; by default the first poll gives everything.

    Notes
    -----
    An idle poll costs the server some 0.1 ms. Iterating gives one :class:`Changes` after the other, as they
    come, and never ends by itself.

    Examples
    --------
    >>> def follow(feed: ChangeFeed, dark: set[str]) -> None:
    ...     for changes in feed:
    ...         if changes.is_everything:
    ...             dark.clear()
    ...         for number, code in zip(changes.meters.meter_number, changes.meters.power_status):
    ...             (dark.add if code == 2 else dark.discard)(number)
    """

    def __init__(self, database: Database | str | URL | Engine, *, position: str | None = None) -> None:
        self._engine = as_engine(database)
        self._owns_engine = not isinstance(database, Database | Engine)
        self._pooled: Connection | None = None
        self._connection: psycopg.Connection[Any] | None = None
        self._bell = _Bell()
        home, _, seen = (position or "").rpartition("@")
        self._home, self._seen = home, seen or None

    @property
    def position(self) -> str | None:
        """Where the feed stands: all that was committed by then has been told; None before the first poll."""
        return None if self._seen is None else f"{self._home}@{self._seen}"

    def poll(self) -> Changes:
        """Read what has been committed since the position, and move it there.

        Returns
        -------
        Changes
            False when there is nothing. All of it, and the position, are of one snapshot.

        Raises
        ------
        StoreUnavailableError, ConflictError
            Nothing was read, and the position is as it was; the same call may work later.

        Notes
        -----
        A million changed meters take about a second; see ``benchmarks/README.md``.
        """
        was_open = self._connection is not None
        try:
            return self._polled()
        except StoreUnavailableError:
            if not was_open:
                raise
            return self._polled()  # the connection was lost since the last call; a new one may be had

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until there is something to poll.

        Parameters
        ----------
        timeout_s : float, optional
            At the most so long, in seconds; without end when left out.

        Returns
        -------
        bool
            False when the time is over, or the database cannot be reached.

        Notes
        -----
        Writers ring while somebody waits. A ring that is lost costs a second at the most, since the feed
        looks for itself as often; sooner where it saw open transactions.
        """
        ends_at = time.monotonic() + (float("inf") if timeout_s is None else timeout_s)
        pause_s = _SOON_S
        while True:
            try:
                with self._driver() as connection:
                    connection.execute(_WAITING)
                    news = self._look(connection)
                    if news.is_quiet:
                        _listen(connection, self._bell, min(pause_s, ends_at - time.monotonic()))
                    connection.execute(_AWAKE)
            except StoreUnavailableError:
                time.sleep(max(0.0, min(_POLL_S, ends_at - time.monotonic())))
            else:
                if not news.is_quiet:
                    return True
                pause_s = min(2 * pause_s, _POLL_S) if news.is_settling else _POLL_S
            if time.monotonic() >= ends_at:
                return False

    def close(self) -> None:
        """Give the connection back; the position stays, and the next poll goes on from it."""
        self._drop()
        if self._owns_engine:
            self._engine.dispose()

    def __iter__(self) -> Iterator[Changes]:
        while True:
            changes = self.poll()
            if changes:
                yield changes
            self.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _polled(self) -> Changes:
        with self._driver() as connection:
            if self._seen is not None:
                news = self._look(connection)
                if news.is_quiet:
                    return Changes(position=f"{self._home}@{self._seen}")
            with connection.transaction():
                news = self._news(connection)
                changes = self._read(connection, news)
            self._seen = news.seen_now
            return changes

    def _look(self, connection: psycopg.Connection[Any]) -> _News:
        """Ask whether there is anything new; where there is not, the position moves."""
        news = self._news(connection)
        if news.is_quiet:
            self._seen = news.seen_now
        return news

    def _news(self, connection: psycopg.Connection[Any]) -> _News:
        return _News(*connection.execute(_SINCE, (self._seen,)).fetchone() or ())

    def _read(self, connection: psycopg.Connection[Any], news: _News) -> Changes:
        position = f"{self._home}@{news.seen_now}"
        is_everything = not news.is_complete or news.concerns_all_meters or news.status_bytes > _MOST_ID_BYTES
        version = news.topology_version
        if not news.is_complete:
            ((version,),) = connection.execute(_VERSION).fetchall()
        meter_nos = None if is_everything else self._changed_meters(connection, news)
        meters = read_statuses(connection, meter_nos)
        return Changes(
            position=position, is_everything=is_everything, topology_version=version, meters=meters
        )

    def _changed_meters(self, connection: psycopg.Connection[Any], news: _News) -> NDArray[np.int32]:
        if not news.status_bytes:
            return np.empty(0, dtype=np.int32)
        ((elements,),) = connection.execute(_METERS, (self._seen,), binary=True).fetchall()
        meter_nos = numbers_of(elements)
        is_changed = np.zeros(int(meter_nos.max(initial=0)) + 1, dtype=np.bool_)
        is_changed[meter_nos] = True
        return np.flatnonzero(is_changed).astype(np.int32)

    @contextmanager
    def _driver(self) -> Iterator[psycopg.Connection[Any]]:
        """Lend the connection, opened where there is none; one that broke is dropped."""
        try:
            with translated_errors():
                if self._connection is None:
                    self._open()
                assert self._connection is not None  # noqa: S101
                yield self._connection
        except BaseException:
            # Whatever was under way is not to be waited for, nor its lock to be held.
            self._drop()
            raise

    def _open(self) -> None:
        pooled = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        connection = pooled.connection.driver_connection
        assert connection is not None  # noqa: S101
        pooled.detach()
        self._pooled, self._connection = pooled, connection
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        connection.prepare_threshold = 1
        is_standby, home = connection.execute(_HOME).fetchone()
        if is_standby:
            raise StoreUnavailableError("This server is a standby; the change feed reads the primary server.")
        if home != self._home:
            self._home, self._seen = home, None
        connection.add_notify_handler(self._bell.ring)
        connection.execute("LISTEN oms_topology_change")

    def _drop(self) -> None:
        if self._pooled is not None:
            self._pooled.close()
        self._pooled = self._connection = None


class _Bell:
    """Remembers that it was rung, whenever the driver noticed it."""

    def __init__(self) -> None:
        self.is_rung = False

    def ring(self, _: psycopg.Notify) -> None:
        self.is_rung = True


def _listen(connection: psycopg.Connection[Any], bell: _Bell, timeout_s: float) -> None:
    """Wait until the server sends something, or has rung since the last time, or the time is over."""
    if not bell.is_rung and timeout_s > 0:
        with DefaultSelector() as selector:
            selector.register(connection.fileno(), EVENT_READ)
            selector.select(timeout_s)
    bell.is_rung = False


def forget_changes_before(database: Database | str | URL | Engine, instant: datetime) -> int:
    """Take out of the log what is older than an instant, and tell how many rows that were.

    Whoever has not polled since is given everything at the next poll. Rows of transactions that may stand
    beside one that is still open stay for the time being.

    Parameters
    ----------
    database : Database, str, sqlalchemy.URL or sqlalchemy.Engine
        A database with the schema of this version.
    instant : datetime
        Aware of its zone.

    Raises
    ------
    ValueError
        The instant has no zone.
    StoreUnavailableError, ConflictError
        Nothing was taken out.
    """
    if instant.utcoffset() is None:
        raise ValueError(f"instant={instant.isoformat()} has no time zone; pass an aware time, such as UTC.")
    engine = as_engine(database)
    try:
        with translated_errors(), engine.begin() as connection:
            return int(connection.execute(_FORGET, {"instant": instant}).scalar_one())
    finally:
        if not isinstance(database, Database | Engine):
            engine.dispose()
