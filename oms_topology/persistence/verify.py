"""Compares what stands in a database with what this version of the library works on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from oms_topology.model import FindingSeverity
from oms_topology.persistence.catalog import read_catalog

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import Engine

    from oms_topology.persistence.catalog import Catalog

__all__ = ["Deviation", "compare", "expected_catalog", "verify"]

_PARTS = {"columns": "column", "constraints": "key or check", "indexes": "index", "triggers": "trigger"}
_OWN_SCHEMA = "oms_topology."


@dataclass(frozen=True, slots=True)
class Deviation:
    """One thing in which a database differs from the schema it should have.

    Attributes
    ----------
    severity : FindingSeverity
        An error where the library may answer wrongly or fail, a warning where it works all the same.
    kind : str
        ``"table"``, ``"column"``, ``"key or check"``, ``"index"``, ``"trigger"``, ``"view"``,
        ``"function"`` or ``"type"``.
    name : str
        Qualified by schema and, for parts of a table, by the table.
    state : str
        ``"missing"``, ``"extra"``, ``"different"`` or ``"not validated"``.
    expected, found : str
        The property that differs; empty where the state says it all.

    Examples
    --------
    >>> error = FindingSeverity.ERROR
    >>> print(Deviation(error, "column", "public.onus.id", "different", "type integer", "type text"))
    error: column public.onus.id is different: expected type integer, found type text
    """

    severity: FindingSeverity
    kind: str
    name: str
    state: str
    expected: str = ""
    found: str = ""

    def __str__(self) -> str:
        detail = f": expected {self.expected}, found {self.found}" if self.expected or self.found else ""
        return f"{self.severity}: {self.kind} {self.name} is {self.state}{detail}"


def expected_catalog() -> Catalog:
    """Load the catalog of a clean install, as shipped with the library.

    Returns
    -------
    Catalog
        As :func:`~oms_topology.persistence.catalog.read_catalog` gives it.

    Examples
    --------
    >>> expected_catalog()["tables"]["public.oms_meters"]["columns"]["meter_number"]["type"]
    'character varying(64)'
    """
    source = files("oms_topology.persistence.migrations").joinpath("catalog.json")
    loaded: Catalog = json.loads(source.read_text(encoding="utf-8"))
    return loaded


def verify(engine: Engine) -> list[Deviation]:
    """Say in what a database deviates from the schema that this library works on.

    Tables, views and functions of the user's own are not looked at, nor are columns and plain indexes
    added to our tables. Reads only.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        The database.

    Returns
    -------
    list of Deviation
        Errors first, then by kind and name; empty when all is as it should be.
    """
    with engine.connect() as connection, connection.begin():
        found = read_catalog(connection)
    return compare(expected_catalog(), found)


def compare(expected: Catalog, found: Catalog) -> list[Deviation]:
    """Compare two catalogs; the rules are those of :func:`verify`.

    Parameters
    ----------
    expected, found : Catalog
        What should stand, and what stands.

    Returns
    -------
    list of Deviation
        Errors first, then by kind and name.
    """
    deviations = [
        *_compare_tables(expected["tables"], found["tables"]),
        *_compare_whole("view", expected["views"], found["views"]),
        *_compare_whole("function", expected["functions"], found["functions"]),
        *_compare_whole("type", expected["types"], found["types"]),
        *_overloads(expected["functions"], found["functions"]),
    ]
    return sorted(deviations, key=lambda one: (one.severity, one.kind, one.name, one.state))


def _compare_tables(expected: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[Deviation]:
    for name, wanted in expected.items():
        standing = found.get(name)
        if standing is None:
            yield Deviation(FindingSeverity.ERROR, "table", name, "missing")
            continue
        yield from _compare_storage(name, wanted, standing)
        for part, kind in _PARTS.items():
            yield from _compare_part(name, kind, wanted[part], standing[part])
    yield from _extra_of_ours("table", expected, found)


def _compare_storage(
    name: str, wanted: Mapping[str, Any], standing: Mapping[str, Any]
) -> Iterator[Deviation]:
    """Partitioned or not, fill factor and the like: slower or faster, but never wrong; parents are."""
    for key in ("kind", "is_logged", "options", "partition_key", "partitions", "parents"):
        if wanted[key] != standing[key]:
            severity = FindingSeverity.ERROR if key == "parents" else FindingSeverity.WARNING
            yield Deviation(severity, "table", name, "different", _told(key, wanted), _told(key, standing))


def _compare_part(
    table: str, kind: str, expected: Mapping[str, Any], found: Mapping[str, Any]
) -> Iterator[Deviation]:
    for name, wanted in expected.items():
        where, standing = f"{table}.{name}", found.get(name)
        if standing is None:
            yield Deviation(FindingSeverity.ERROR, kind, where, "missing")
        elif kind == "key or check" and wanted["validated"] and not standing["validated"]:
            yield Deviation(FindingSeverity.WARNING, kind, where, "not validated")
        else:
            yield from _differences(kind, where, wanted, standing)
    for name in found.keys() - expected.keys():
        yield from _extra_part(kind, f"{table}.{name}", found[name])


def _extra_part(kind: str, where: str, standing: Mapping[str, Any]) -> Iterator[Deviation]:
    """Columns and plain indexes of the user's own do no harm; what refuses or changes rows may."""
    if kind == "column" and standing["not_null"] and not (standing["default"] or standing["identity"]):
        yield Deviation(FindingSeverity.ERROR, kind, where, "extra", "nothing", "not_null without a default")
    elif kind in ("key or check", "trigger") or (kind == "index" and standing["unique"]):
        yield Deviation(FindingSeverity.WARNING, kind, where, "extra", "nothing", standing["definition"])


def _compare_whole(kind: str, expected: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[Deviation]:
    for name, wanted in expected.items():
        if name not in found:
            yield Deviation(FindingSeverity.ERROR, kind, name, "missing")
        else:
            yield from _differences(kind, name, wanted, found[name])
    yield from _extra_of_ours(kind, expected, found)


def _differences(
    kind: str, name: str, wanted: Mapping[str, Any], standing: Mapping[str, Any]
) -> Iterator[Deviation]:
    for key in wanted:
        if wanted[key] != standing.get(key):
            yield Deviation(
                FindingSeverity.ERROR, kind, name, "different", _told(key, wanted), _told(key, standing)
            )


def _extra_of_ours(kind: str, expected: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[Deviation]:
    for name in found.keys() - expected.keys():
        if name.startswith(_OWN_SCHEMA):
            yield Deviation(FindingSeverity.WARNING, kind, name, "extra")


def _overloads(expected: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[Deviation]:
    """Find second functions under one of our names: an old service may call the wrong one."""
    names = {signature.partition("(")[0] for signature in expected}
    for signature in found.keys() - expected.keys():
        if signature.partition("(")[0] in names and not signature.startswith(_OWN_SCHEMA):
            yield Deviation(FindingSeverity.WARNING, "function", signature, "extra")


def _told(key: str, properties: Mapping[str, Any]) -> str:
    value = properties.get(key)
    shown = ", ".join(value) if isinstance(value, list) else str(value)
    return f"{key} {shown}".rstrip()
