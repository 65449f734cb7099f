"""The tables in which outages, their evidence and dark meters are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oms_topology.cli.common import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from oms_topology.persistence.life_cycle import StillDark
    from oms_topology.persistence.records import AuditRow, DarkMeter, OutageRow, OutageSource, OutageStep

__all__ = [
    "audit_table",
    "critical_mark",
    "dark_table",
    "outage_table",
    "sources_table",
    "steps_table",
]


def outage_table(outages: Sequence[OutageRow]) -> Table:
    """Make the table of outages that the list and the detail show."""
    rows = [
        (
            outage.event_id,
            outage.status if outage.event_type == "outage" else f"{outage.status} ({_kind(outage)})",
            f"{outage.device_kind} {outage.device_code}" if outage.device_code else None,
            outage.affected_customers,
            outage.critical_meters,
            outage.dark_meters,
            outage.started_at,
            outage.restored_at or outage.estimated_at,
            "" if outage.restored_at or not outage.estimated_at else "expected",
        )
        for outage in outages
    ]
    headings = ["outage", "status", "device", "#customers", "#critical", "#dark now", "from", "until", ""]
    return table(headings, rows)


def _kind(outage: OutageRow) -> str:
    return outage.event_type.removesuffix("_outage").removesuffix("_interruption").replace("_", " ")


def sources_table(sources: Sequence[OutageSource]) -> Table:
    """Make the table of the reports behind an outage, each with what it weighs."""
    rows = [(source.source, source.source_event_id, source.detected_at, source.weight) for source in sources]
    return table(["source", "event", "at", "#weight"], rows)


def steps_table(steps: Sequence[OutageStep]) -> Table:
    """Make the table of an outage's timeline."""
    return table(["at", "what", "status", ""], [(s.at, s.what, s.status, s.description) for s in steps])


def dark_table(dark: Sequence[DarkMeter | StillDark], *, marks: Sequence[str] = ()) -> Table:
    """Make the table of meters without power; with ``marks``, a column of these before the others."""
    rows = [
        (row.meter_number, row.customer_id, row.distribution_point, row.feeder, row.since) for row in dark
    ]
    headings = ["meter", "customer", "distribution point", "feeder", "dark since"]
    if not marks:
        return table(headings, rows)
    return table(
        ["meter", "", *headings[1:]],
        [(row[0], mark, *row[1:]) for row, mark in zip(rows, marks, strict=True)],
    )


def critical_mark(row: StillDark) -> str:
    """Say of a meter that it belongs to a critical customer; nothing of others."""
    return "critical" if row.criticality == 1 else ""


def audit_table(audit: Sequence[AuditRow]) -> Table:
    """Make the table of a meter's status events."""
    rows = [(row.at, row.what, row.before, row.after, row.source, row.confidence) for row in audit]
    return table(["at", "what", "before", "after", "source", "#confidence"], rows)
