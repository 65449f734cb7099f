"""The SQL of the migration, kept in files that a database administrator can read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

__all__ = ["Statement", "query", "statements"]

_MARK = re.compile(r"^-- (do|bulk|anew|count|tally|finding|name): (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement of a file, with what its mark says is to be done with the result.

    Attributes
    ----------
    kind : str
        ``"do"`` (nothing), ``"bulk"`` (it gives the number of rows of a table of which these columns, or
        all, will be written next), ``"anew"`` (nothing is run, but what stood aside for that is made again;
        else that is done at the end), ``"count"`` (the rows it touched), ``"tally"`` (the number it gives),
        ``"finding"`` (the ids it gives) or ``"name"`` (it is asked for by that name).
    title : str
        The rest of the mark.
    sql : str
        What is to be run.
    """

    kind: str
    title: str
    sql: str


@cache
def statements(name: str) -> tuple[Statement, ...]:
    """Give the statements of ``sql/<name>.sql``, in their order.

    Examples
    --------
    >>> [statement.kind for statement in statements("06_callers")]
    ['do', 'count', 'do']
    """
    text = (files("oms_topology.migration") / "sql" / f"{name}.sql").read_text(encoding="utf-8")
    _, *parts = _MARK.split(text)
    return tuple(
        Statement(kind, title, sql.strip())
        for kind, title, sql in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    )


def query(file: str, name: str) -> str:
    """Give the statement ``name`` of a file of queries.

    Examples
    --------
    >>> query("identity", "kept_apart").split()[0]
    'SELECT'
    """
    return next(statement.sql for statement in statements(file) if statement.title == name)
