"""Installs the deployed database as it stands in the field, in whatever order its scripts are run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from oms_topology.persistence.plan import split_statements

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Engine

__all__ = ["ALTERS", "SERVICES", "install_clean", "install_uuid", "run_scripts"]

_FOLDER = Path(__file__).parent

SERVICES = (
    "01_kaifa_service.sql",
    "02_scada_service.sql",
    "03_call_center_service.sql",
    "04_onu_service.sql",
)
ALTERS = ("31_alter_scada.sql", "32_alter_onu.sql", "33_alter_kaifa.sql", "34_alter_call_center.sql")


def install_clean(engine: Engine) -> None:
    """Install the whole deployed schema into an empty database: tables, keys, indexes, functions, no rows.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        An empty database.
    """
    install_uuid(engine)
    failed = run_scripts(engine, (*SERVICES, "10_base.sql", "20_enhancement.sql", *ALTERS))
    if failed:
        raise RuntimeError(f"{failed} statements of the deployed schema failed")


def install_uuid(engine: Engine) -> None:
    """Make ``uuid_generate_v4()``: by the extension where the server has it, else by a function."""
    with engine.begin() as connection:
        available = connection.exec_driver_sql(
            "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'uuid-ossp')"
        ).scalar_one()
        connection.exec_driver_sql(
            'CREATE EXTENSION IF NOT EXISTS "uuid-ossp"'
            if available
            else "CREATE OR REPLACE FUNCTION uuid_generate_v4() RETURNS uuid LANGUAGE sql VOLATILE"
            " AS 'SELECT gen_random_uuid()'"
        )


def run_scripts(engine: Engine, names: Iterable[str | Path]) -> int:
    """Run SQL files as psql does: statement by statement, each committed, on past every error.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        The database.
    names : iterable of str or Path
        Files of this folder by name, others by path.

    Returns
    -------
    int
        How many statements failed.
    """
    failed = 0
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        driver = connection.connection.driver_connection
        for name in names:
            for statement in split_statements((_FOLDER / name).read_text(encoding="utf-8")):
                try:
                    driver.execute(statement.text, prepare=False)
                except psycopg.Error:
                    failed += 1
    return failed
