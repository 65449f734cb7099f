"""Indexes and foreign keys of a table stand aside while much of it is written, and are made anew in bulk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

__all__ = ["make_anew", "set_aside"]

_WORTH_IT: Final = 0.2
_ROWS: Final = {
    "oms_meters": "SELECT count(*) FROM public.oms_meters",
    "network_substation_meters": "SELECT count(*) FROM public.network_substation_meters",
    "network_feeder_meters": "SELECT count(*) FROM public.network_feeder_meters",
    "meters": "SELECT count(*) FROM public.meters",
    "kaifa_event_assets": "SELECT count(*) FROM public.kaifa_event_assets",
    "kaifa_event_usage_points": "SELECT count(*) FROM public.kaifa_event_usage_points",
}
# Whoever comes in takes the lock of the topology first, and that of a table after it.
_LOCK: Final = (
    "SELECT pg_advisory_xact_lock(hashtext('oms_topology.topology'));"
    " LOCK TABLE public.oms_meters IN ACCESS EXCLUSIVE MODE"
)
# No table is altered that has checks to be made when all is committed.
_CHECK_NOW: Final = "SET CONSTRAINTS ALL IMMEDIATE"
# What no definition tells (where it lies, what is said of it, its statistics) would be lost: those stay.
# So does a key that does not hold, as it may where somebody loaded rows past it.
_INDEXES: Final = """
    SELECT format('DROP INDEX %%I.%%I', n.nspname, c.relname), pg_get_indexdef(c.oid), 'SELECT true'
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE i.indrelid = format('public.%%I', %(table)s::text)::regclass
      AND i.indisvalid AND NOT (i.indisunique OR i.indisreplident OR i.indisclustered)
      AND c.reltablespace = 0 AND obj_description(c.oid, 'pg_class') IS NULL
      AND NOT EXISTS (SELECT FROM pg_attribute t WHERE t.attrelid = c.oid AND t.attstattarget >= 0)
      AND EXISTS (SELECT FROM pg_depend d
                  JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refobjid = i.indrelid
                    AND (a.attname = ANY (%(columns)s::text[]) OR %(is_all)s))
    ORDER BY c.relname
"""
_KEYS: Final = """
    SELECT format('ALTER TABLE %%s DROP CONSTRAINT %%I', k.conrelid::regclass, k.conname),
           format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', k.conrelid::regclass, k.conname,
                  pg_get_constraintdef(k.oid)),
           format('SELECT NOT EXISTS (SELECT FROM %%s c LEFT JOIN %%s p ON p.%%I = c.%%I'
                  ' WHERE c.%%I IS NOT NULL AND p.%%I IS NULL)', k.conrelid::regclass, k.confrelid::regclass,
                  p.attname, a.attname, a.attname, p.attname)
    FROM pg_constraint k
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
    JOIN pg_attribute p ON p.attrelid = k.confrelid AND p.attnum = k.confkey[1]
    WHERE k.contype = 'f' AND cardinality(k.conkey) = 1
      AND (a.attname = ANY (%(columns)s::text[]) OR %(is_all)s)
      AND k.conrelid = format('public.%%I', %(table)s::text)::regclass
      AND obj_description(k.oid, 'pg_constraint') IS NULL
      AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgconstraint = k.oid AND t.tgenabled <> 'O')
    ORDER BY k.conname
"""


def set_aside(connection: Connection, table: str, columns: Sequence[str], count: int) -> list[str]:
    """Drop the indexes and foreign keys that name columns, if so many rows are to be written that it pays.

    Then nobody else reads or writes the registry until the transaction ends.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        In a transaction.
    table : str
        The registry, or one of the tables that name its meters.
    columns : sequence of str
        The columns that will be written; none where whole rows will be.
    count : int
        How many rows will be written.

    Returns
    -------
    list of str
        The statements that make them anew, indexes first; empty where it does not pay.
    """
    if count <= _WORTH_IT * connection.exec_driver_sql(_ROWS[table]).scalar_one():
        return []
    connection.exec_driver_sql(_LOCK)
    connection.exec_driver_sql(_CHECK_NOW)
    named = {"table": table, "columns": list(columns), "is_all": not columns}
    found = [row for query in (_INDEXES, _KEYS) for row in connection.exec_driver_sql(query, named).all()]
    anew = []
    for drop, definition, can_be_made_anew in found:
        if connection.exec_driver_sql(can_be_made_anew).scalar_one():
            connection.exec_driver_sql(drop)
            anew.append(definition)
    return anew


def make_anew(connection: Connection, definitions: Sequence[str]) -> None:
    """Make again what was set aside; that the keys hold is checked by sets."""
    if definitions:
        connection.exec_driver_sql(_CHECK_NOW)
    for definition in definitions:
        connection.exec_driver_sql(definition)
