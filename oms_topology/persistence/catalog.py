"""Reads what stands in a database from ``pg_catalog``, as plain values that can be compared and kept.

Every PostgreSQL from 13 to 18 gives the same values: line breaks do not count, view texts lose their
qualifiers (16 and later leave some out), NOT NULL constraints (catalogued since 18) are a property of their
column, and what PostgreSQL makes itself for a partition is left out.
"""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping

__all__ = ["Catalog", "read_catalog"]

Catalog = dict[str, dict[str, Any]]
"""Section (tables, views, functions, types) to qualified name to properties."""


_QUALIFIER = re.compile(r"\b[a-z_][a-z0-9_]*\.(?=[a-z_\"*])")


def read_catalog(connection: Connection) -> Catalog:
    """Read tables, views, functions and types of the schemas ``public`` and ``oms_topology``.

    Owners, grants, comments, the order of a table's columns and whatever an extension brought are left out.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        Connected to the database; within a transaction, whose search path is changed until it ends.

    Returns
    -------
    Catalog
        Four sections, each sorted by qualified name; a function's name holds its argument types, its body
        is given as a hash. Costs eight queries of the catalog, in the order of 50 ms.
    """
    connection.exec_driver_sql("SET LOCAL search_path = pg_catalog")
    tables = {row["name"]: _table(row) for row in _rows(connection, "tables")}
    views = {row["name"]: _view(row) for row in _rows(connection, "views")}
    for row in _rows(connection, "columns"):
        if row["owner"] in tables:
            tables[row["owner"]]["columns"][row["name"]] = _column(row)
        else:
            views[row["owner"]]["columns"].append(f"{row['name']} {row['type']}")
    for part, reading in _PARTS.items():
        for row in _rows(connection, part):
            tables[row["owner"]][part][row["name"]] = reading(row)
    functions = {row["name"]: _function(row) for row in _rows(connection, "functions")}
    types = {row["name"]: _type(row) for row in _rows(connection, "types")}
    return {"tables": tables, "views": views, "functions": functions, "types": types}


def _rows(connection: Connection, section: str) -> list[RowMapping]:
    query = files("oms_topology.persistence").joinpath("sql", "catalog", f"{section}.sql")
    return list(connection.exec_driver_sql(query.read_text(encoding="utf-8")).mappings())


def _table(row: RowMapping) -> dict[str, Any]:
    return {
        "kind": {"r": "table", "p": "partitioned table"}[row["kind"]],
        "is_logged": row["persistence"] == "p",
        "options": sorted(row["options"]),
        "partition_key": row["partition_key"] or "",
        "partitions": list(row["partitions"]),
        "parents": list(row["parents"]),
        "columns": {},
        "constraints": {},
        "indexes": {},
        "triggers": {},
    }


def _column(row: RowMapping) -> dict[str, Any]:
    return {
        "type": row["type"],
        "not_null": row["not_null"],
        "default": row["default"] or "",
        "identity": row["identity"],
        "generated": row["generated"],
    }


def _constraint(row: RowMapping) -> dict[str, Any]:
    definition = row["definition"].removesuffix(" NOT VALID")
    if row["kind"] == "c":
        definition = _one_line(definition)
    return {"definition": definition, "validated": row["validated"]}


def _index(row: RowMapping) -> dict[str, Any]:
    return {"definition": _one_line(row["definition"]), "valid": row["valid"], "unique": row["unique"]}


def _trigger(row: RowMapping) -> dict[str, Any]:
    return {"definition": _one_line(row["definition"]), "enabled": row["enabled"]}


def _view(row: RowMapping) -> dict[str, Any]:
    return {
        "kind": {"v": "view", "m": "materialized view"}[row["kind"]],
        "columns": [],
        "definition": _QUALIFIER.sub("", _one_line(row["definition"])),
    }


def _function(row: RowMapping) -> dict[str, Any]:
    body = "\n".join(line.rstrip() for line in row["body"].strip().splitlines())
    return {
        "kind": row["kind"],
        "arguments": row["arguments"],
        "result": row["result"],
        "language": row["language"],
        "volatility": row["volatility"],
        "parallel": row["parallel"],
        "strict": row["strict"],
        "security_definer": row["security_definer"],
        "settings": sorted(row["settings"]),
        "body": hashlib.sha256(body.encode()).hexdigest(),
    }


def _type(row: RowMapping) -> dict[str, Any]:
    return {"kind": row["kind"], "labels": list(row["labels"]), "fields": list(row["fields"])}


def _one_line(definition: str) -> str:
    return " ".join(definition.split()).removesuffix(";")


_PARTS = {"constraints": _constraint, "indexes": _index, "triggers": _trigger}
