"""The SQL that Python runs, kept in files that a database administrator can read."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

__all__ = ["script"]


@cache
def script(name: str) -> str:
    """Give the text of ``sql/<name>.sql``.

    Examples
    --------
    >>> script("store_devices").startswith("--")
    True
    """
    return (files("oms_topology.persistence") / "sql" / f"{name}.sql").read_text(encoding="utf-8")
