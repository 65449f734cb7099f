"""Writes the catalog that :func:`~oms_topology.persistence.verify.verify` compares with.

After a change to an SQL file::

    python -m oms_topology.persistence.snapshot postgresql+psycopg://postgres@/postgres?host=/run/postgresql

makes a database of its own on that server, installs into it, writes ``migrations/catalog.json`` and drops
the database again. Any PostgreSQL from 13 to 18 gives the same file.
"""

from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path

from sqlalchemy import URL, create_engine, make_url
from sqlalchemy.pool import NullPool

from oms_topology.persistence import migrations
from oms_topology.persistence.catalog import read_catalog
from oms_topology.persistence.schema import upgrade

__all__ = ["fresh_catalog_text", "main"]


def fresh_catalog_text(server: str | URL) -> str:
    """Install into a new database, read its catalog and drop the database.

    Parameters
    ----------
    server : str or sqlalchemy.URL
        Any database on the server, for a role that may create databases.

    Returns
    -------
    str
        The catalog as JSON, keys sorted, with a line break at its end.
    """
    url = make_url(server)
    scratch = f"oms_topology_catalog_{uuid.uuid4().hex[:12]}"
    maintenance = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with maintenance.connect() as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{scratch}"')
        try:
            return _installed_catalog(url.set(database=scratch))
        finally:
            connection.exec_driver_sql(f'DROP DATABASE "{scratch}"')


def _installed_catalog(url: URL) -> str:
    engine = create_engine(url, poolclass=NullPool)
    upgrade(engine)
    with engine.connect() as connection, connection.begin():
        return json.dumps(read_catalog(connection), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """Write the snapshot; the first argument is the server's URL.

    Returns
    -------
    int
        The exit code.
    """
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m oms_topology.persistence.snapshot URL\n")
        return 2
    target = Path(next(iter(migrations.__path__))) / "catalog.json"
    target.write_text(fresh_catalog_text(arguments[0]), encoding="utf-8")
    sys.stdout.write(f"{target}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
