"""One database of the outage management system: how to reach it, and what can be done with it as a whole."""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy import exc as sa_errors

from oms_topology.errors import ConflictError, StoreUnavailableError
from oms_topology.persistence.embedded import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from types import TracebackType
    from typing import Self

    from oms_topology.migration.plan import LinkLimits, MigrationStep
    from oms_topology.migration.report import MigrationReport
    from oms_topology.model import NetworkColumns
    from oms_topology.persistence.life_cycle import Operator
    from oms_topology.persistence.network_store import SupplyTree
    from oms_topology.persistence.schema import Deviation, UpgradeReport

__all__ = ["DSN_VARIABLE", "Database", "as_engine", "default_path", "translated_errors"]

DSN_VARIABLE: Final = "OMS_TOPOLOGY_DSN"
_DRIVER: Final = "postgresql+psycopg"
_UNAVAILABLE: Final = ("08", "57P", "53300")
_IN_THE_WAY: Final = ("40001", "40P01", "55P03")


class Database:
    """A PostgreSQL database, reached through a pool of connections.

    Parameters
    ----------
    target : str, sqlalchemy.URL or sqlalchemy.Engine
        ``postgresql://...`` (any SQLAlchemy spelling of it), or the words of libpq
        (``host=... dbname=...``). Nothing is connected before it is needed. An engine stays its owner's:
        :meth:`close` leaves it open.

    Attributes
    ----------
    engine : sqlalchemy.Engine
        For everything else; its sessions are in UTC.

    Raises
    ------
    ValueError
        When the address is none of PostgreSQL.

    Examples
    --------
    >>> Database("postgresql://dispatcher:secret@grid.example/oms")
    <Database postgresql+psycopg://dispatcher:***@grid.example/oms>
    """

    def __init__(self, target: str | URL | Engine) -> None:
        self._owns_engine = not isinstance(target, Engine)
        self.engine = target if isinstance(target, Engine) else _new_engine(_url(target))
        self._server: EmbeddedServer | None = None

    @classmethod
    def embedded(cls, path: str | Path | None = None, *, dsn: str | None = None) -> Self:
        """Open a database without any preparation: a server is found, started and shared as needed.

        Parameters
        ----------
        path : path, optional
            Directory of the embedded server, made where it is missing; by default
            ``$XDG_DATA_HOME/oms_topology`` (``~/.local/share/oms_topology``).
        dsn : str, optional
            Use this database, and no embedded server at all. Without ``path``, the variable
            ``OMS_TOPOLOGY_DSN`` does the same; a ``path`` that was asked for goes before the variable, so
            that it never turns into somebody's production.

        Returns
        -------
        Database
            Existing data, or an empty database called ``oms``; to be closed, else the server stops when
            this process ends.

        Raises
        ------
        EmbeddedServerError
            When there is no PostgreSQL to start, or it does not start.

        Notes
        -----
        About 0.6 s for a new path, 0.06 s for a stopped server, a few milliseconds for a running one.
        """
        address = dsn or (os.environ.get(DSN_VARIABLE) if path is None else None)
        if address:
            return cls(address)
        server = EmbeddedServer.start(default_path() if path is None else path)
        try:
            server.create_database("oms")
            database = cls(server.url("oms"))
        except BaseException:
            server.stop()
            raise
        database._server = server
        return database

    @property
    def url(self) -> URL:
        """The address, with the password that it may hold; its text hides it."""
        return self.engine.url

    def close(self) -> None:
        """Close the connections, and leave the embedded server when this database has one."""
        if self._owns_engine:
            self.engine.dispose()
        if self._server is not None:
            self._server.stop()

    def upgrade(self, *, dry_run: bool = False) -> UpgradeReport:
        """Bring the schema to this version, in place and in one transaction.

        Parameters
        ----------
        dry_run : bool
            Do everything, then roll it back.

        Returns
        -------
        UpgradeReport
            What was done, and what was set aside.

        Raises
        ------
        SchemaUpgradeError
            When it failed; the database is as it was.
        """
        from oms_topology.persistence import schema

        return schema.upgrade(self.engine, dry_run=dry_run)

    def verify(self) -> list[Deviation]:
        """List in what the schema deviates from the one of this version; empty when in nothing."""
        from oms_topology.persistence import schema

        return schema.verify(self.engine)

    def upgrade_sql(self) -> str:
        """Give the SQL that :meth:`upgrade` would run, for reading or running by hand."""
        from oms_topology.persistence import schema

        return schema.upgrade_sql(self.engine)

    def migrate_legacy(
        self,
        *,
        dry_run: bool = False,
        limits: LinkLimits | None = None,
        progress: Callable[[MigrationStep, float], None] | None = None,
        scheduler: str | None = None,
    ) -> MigrationReport:
        """Make one registry of the four providers' tables, in ten steps that can be run again at any time.

        Parameters
        ----------
        dry_run : bool
            Do everything, report, then roll it back.
        limits : LinkLimits, optional
            How far links by place may reach.
        progress : callable, optional
            Called with a step and the share of it that is done.
        scheduler : str, optional
            Address of a Dask scheduler whose workers shall link by place; the answer is the same.

        Returns
        -------
        MigrationReport
            What was done, or would be; see :func:`oms_topology.migration.runner.migrate` for the errors.
        """
        from oms_topology.migration.runner import migrate

        if scheduler is None:
            return migrate(self.engine, dry_run=dry_run, limits=limits, progress=progress)
        from oms_topology.io.distributed import link_distributed

        linker = partial(link_distributed, scheduler=scheduler)
        return migrate(self.engine, dry_run=dry_run, limits=limits, progress=progress, linker=linker)

    def load_network(self, *, as_of: datetime | int | None = None) -> NetworkColumns:
        """Read the whole network into columns; about a second per million meters.

        Parameters
        ----------
        as_of : datetime or int, optional
            A past instant, aware, or a topology version; the present when left out.

        Returns
        -------
        NetworkColumns
            See :func:`~oms_topology.persistence.network_load.load_network`.

        Raises
        ------
        TopologyHistoryError
            The database remembers nothing as old, or has no such version yet.
        """
        from oms_topology.persistence.network import load_network

        return load_network(self.engine, as_of=as_of)

    def store_network(self, network: SupplyTree) -> None:
        """Write a network's devices, branches, meters and supplies; what is there already is updated.

        Parameters
        ----------
        network : Topology
            What to write.
        """
        from oms_topology.persistence.network import store_network

        store_network(self.engine, network)

    def operator(self, operator_id: str) -> Operator:
        """Give the desk of a person who confirms, assigns, restores, cancels and plans outages.

        Parameters
        ----------
        operator_id : str
            An id, never a name: it is recorded with every decision.
        """
        from oms_topology.persistence.life_cycle import Operator

        return Operator(self, operator_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Database {self.engine.url.render_as_string(hide_password=True)}>"


def as_engine(target: str | URL | Engine | Database) -> Engine:
    """Give the engine of whatever stands for a database.

    Parameters
    ----------
    target : str, sqlalchemy.URL, sqlalchemy.Engine or Database
        An engine is given back as it is, a database's own engine is given, from an address a new one is
        made, which the caller then disposes of.

    Examples
    --------
    >>> as_engine("postgresql:///oms").url.drivername
    'postgresql+psycopg'
    """
    if isinstance(target, Database):
        return target.engine
    return target if isinstance(target, Engine) else _new_engine(_url(target))


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn errors of the driver that may pass into the library's transient ones; leave all others.

    Raises
    ------
    StoreUnavailableError
        When the database cannot be reached, is shutting down, has no connection to spare, or cut this one.
    ConflictError
        On a deadlock, a serialisation failure, or a lock that was not to be had in time.

    Notes
    -----
    The messages hold what the server said, without statements, parameters or addresses.

    Examples
    --------
    >>> from sqlalchemy import text
    >>> nowhere = as_engine("postgresql://nobody@/oms?host=/nowhere")
    >>> with translated_errors(), nowhere.connect() as connection:
    ...     connection.execute(text("select 1"))
    Traceback (most recent call last):
    oms_topology.errors.StoreUnavailableError: The database cannot be reached (OperationalError).
    """
    try:
        yield
    except sa_errors.TimeoutError as error:
        raise StoreUnavailableError("All connections of the pool stayed in use; try again later.") from error
    except sa_errors.DBAPIError as error:
        _raise_translated(error.orig, error)
        raise
    except psycopg.Error as error:
        _raise_translated(error, error)
        raise


def _raise_translated(original: BaseException | None, error: Exception) -> None:
    if not isinstance(original, psycopg.Error):
        return
    state = original.sqlstate
    said = f"{original.diag.message_primary or 'no message'} ({type(original).__name__})"
    if state is None and isinstance(original, psycopg.OperationalError):
        # The driver's own text names host, user and database: not for a log.
        raise StoreUnavailableError(f"The database cannot be reached ({type(original).__name__}).") from error
    if state is not None and state.startswith(_UNAVAILABLE):
        raise StoreUnavailableError(f"The database is not available: {said}.") from error
    if state in _IN_THE_WAY:
        raise ConflictError(f"Another transaction was in the way: {said}.") from error


def _url(target: str | URL) -> URL:
    url = target if isinstance(target, URL) else _parsed(target)
    backend = url.get_backend_name()
    if backend not in ("postgresql", "postgres"):
        raise ValueError(f"This is no address of a PostgreSQL database: {backend}://...")
    return url.set(drivername=_DRIVER)


def _parsed(text: str) -> URL:
    if "://" in text:
        return make_url(text)
    try:
        words = {key: str(value) for key, value in conninfo_to_dict(text).items()}
    except psycopg.ProgrammingError:
        # Its message would show the text, and the text may hold a password.
        raise ValueError("This is no address of a database; write postgresql://user@host/database") from None
    user, password, name = (words.pop(key, None) for key in ("user", "password", "dbname"))
    return URL.create(_DRIVER, user, password, database=name, query=words)


def _new_engine(url: URL) -> Engine:
    options = url.query.get("options", "")
    asked = " ".join(options) if isinstance(options, tuple) else options
    arguments = {
        "application_name": url.query.get("application_name", "oms_topology"),
        # The last of several wins: our time zone, since all times in and out are UTC.
        "options": f"{asked} -c timezone=UTC".strip(),
        "connect_timeout": url.query.get("connect_timeout", "10"),
    }
    return create_engine(
        url.difference_update_query(["options"]),
        connect_args=arguments,
        pool_pre_ping=True,
        pool_size=5,
        max_overflow=10,
        pool_recycle=1800,
        hide_parameters=True,  # they hold personal data, and errors end in logs
    )


def default_path() -> Path:
    """Give the directory of the embedded server where none is named."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "oms_topology"
