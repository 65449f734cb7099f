"""The face of the embedded server."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg import errors as pg_errors
from psycopg import sql
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL

from oms_topology.persistence.embedded.cluster import PORT, ROLE, usable_home
from oms_topology.persistence.embedded.launch import bring_up, checked_settings, shut_down
from oms_topology.persistence.embedded.locks import is_locked, locked, open_lock

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

__all__ = ["EmbeddedServer"]


class EmbeddedServer:
    """A PostgreSQL server of one's own on a private socket, shared by all who start it on the same path.

    Use :meth:`start`, never the constructor. Whoever starts it first really starts it; who comes later, in
    this process or another, joins. It stops when the last user has stopped or has died.

    Attributes
    ----------
    path : Path
        The directory; the database cluster is in ``data`` below it, messages in ``server.log``.
    socket_directory : Path
        Where the socket is.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as home, EmbeddedServer.start(home) as server:
    ...     _ = server.create_database("grid")
    ...     with psycopg.connect(server.conninfo("grid")) as connection:
    ...         print(connection.execute("show listen_addresses").fetchone())
    ('',)
    """

    def __init__(self, path: Path, users: int, socket_directory: Path) -> None:
        self.path = path
        self.socket_directory = socket_directory
        self._users: int | None = users

    @classmethod
    def start(
        cls,
        path: str | Path,
        *,
        binaries: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> Self:
        """Start the server of a directory, or join it when it runs.

        Parameters
        ----------
        path : path
            The directory; created, readable by its owner only, when there is none.
        binaries : path, optional
            A PostgreSQL installation to use instead of the one that :func:`find_binaries` finds.
        settings : mapping of str to str, optional
            Server settings over the defaults, which are small and durable (``fsync`` on). Without effect
            when the server runs already.

        Returns
        -------
        EmbeddedServer
            Ready for connections; call :meth:`stop` or use it as a context manager.

        Raises
        ------
        EmbeddedServerError
            When there are no binaries, the directory cannot be used or holds the data of another major
            version, or the server does not get ready within a minute.

        Notes
        -----
        About half a second for a new directory, 50 milliseconds for an existing one, and a few to join. A
        server that was killed recovers everything committed.
        """
        chosen = checked_settings(settings or {})
        home = usable_home(Path(path))
        with locked(home / "start.lock"):
            users = open_lock(home / "users.lock")
            try:
                fcntl.flock(users, fcntl.LOCK_SH)
                socket_directory = bring_up(home, binaries, chosen)
            except BaseException:
                os.close(users)
                raise
        return cls(home, users, socket_directory)

    def url(self, database: str = "oms") -> URL:
        """Address of a database of this server, for SQLAlchemy.

        Parameters
        ----------
        database : str
            Its name; nothing checks that it exists.
        """
        query = {"host": str(self.socket_directory), "port": str(PORT)}
        return URL.create("postgresql+psycopg", username=ROLE, database=database, query=query)

    def conninfo(self, database: str = "oms") -> str:
        """Address of a database of this server, for psycopg and libpq.

        Parameters
        ----------
        database : str
            Its name; nothing checks that it exists.
        """
        return make_conninfo(
            host=str(self.socket_directory), port=PORT, user=ROLE, dbname=database, connect_timeout=10
        )

    def create_database(self, database: str) -> bool:
        """Create an empty database unless there is one of that name; about 40 ms.

        Parameters
        ----------
        database : str
            Its name.

        Returns
        -------
        bool
            Whether it was created now.
        """
        with psycopg.connect(self.conninfo("postgres"), autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone()
            if known is not None:
                return False
            try:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
            except (pg_errors.DuplicateDatabase, pg_errors.UniqueViolation):
                return False  # another user of this server was a moment faster
        return True

    def stop(self) -> None:
        """Leave the server; the last user to leave stops it, and waits until it is down.

        Does nothing the second time. Connections of the last user are ended by the server.

        Raises
        ------
        EmbeddedServerError
            When the server does not end within a minute.
        """
        if self._users is None:
            return
        users, self._users = self._users, None
        if not (self.path / "start.lock").exists():  # somebody deleted the directory: the keeper ends it
            os.close(users)
            return
        with locked(self.path / "start.lock"):
            os.close(users)
            if not is_locked(self.path / "users.lock"):
                shut_down(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<EmbeddedServer {self.path}{'' if self._users is not None else ' (stopped)'}>"
