"""All rows of a database by table and id, and what an upgrade made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import sql

if TYPE_CHECKING:
    from sqlalchemy import Engine

Rows = dict[str, dict[str, dict[str, Any]]]


def all_rows(engine: Engine) -> Rows:
    """Read every row of every table of ``public``, by the row's id."""
    with engine.connect() as connection:
        cursor = connection.connection.driver_connection.cursor()  # type: ignore[union-attr]
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname"
        )
        tables = [name for (name,) in cursor.fetchall()]
        found: Rows = {}
        for table in tables:
            cursor.execute(
                sql.SQL("SELECT to_jsonb(t) FROM ONLY {} AS t").format(sql.Identifier("public", table))
            )
            if not cursor.rowcount:
                # A partitioned table has no rows but those of its partitions.
                cursor.execute(
                    sql.SQL("SELECT to_jsonb(t) FROM {} AS t").format(sql.Identifier("public", table))
                )
            found[table] = {str(row["id"]): row for (row,) in cursor.fetchall()}
        return found


def restored(engine: Engine, after: Rows) -> Rows:
    """Undo an upgrade by what it set aside: each row as it was first copied, the others as they stand."""
    with engine.connect() as connection:
        copies = connection.exec_driver_sql(
            "SELECT 'network_substation_meters', \"row\" FROM oms_topology.quarantined_mapping"
            ' UNION ALL (SELECT table_name, "row" FROM oms_topology.set_aside ORDER BY set_aside_no DESC)'
        ).all()
    undone = {table: dict(rows) for table, rows in after.items()}
    for table, row in copies:
        standing = undone[table].get(str(row["id"]), {})
        undone[table][str(row["id"])] = {**standing, **row}
    return undone
