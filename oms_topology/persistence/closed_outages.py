"""Outages that are over and sure, by supply tree: what rates are learned from, and where these are kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import text

from oms_topology.model import DeviceKind, DeviceReference

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from sqlalchemy import Connection

__all__ = ["ClosedOutage", "read_closed_outages", "write_rates"]

# One that people took for their own is sure, whatever was heard of it.
_CLOSED = text(
    """
    SELECT d.segment_no, d.kind, d.code, o.started_at, o.ended_at
    FROM oms_topology.outage_device o
    JOIN public.oms_outage_events e ON e.id = o.outage_event_id
    JOIN oms_topology.device d ON d.device_no = o.device_no
    LEFT JOIN oms_topology.outage_inference i ON i.outage_event_id = e.id
    WHERE e.status IN ('restored', 'cleared') AND e.event_type = 'outage'
      AND o.started_at >= :since AND o.ended_at > o.started_at AND d.segment_no IS NOT NULL
      AND (COALESCE(i.posterior, e.confidence_score) >= :least_confidence
           OR EXISTS (SELECT FROM oms_topology.outage_decision n
                      WHERE n.outage_event_id = e.id AND n.action IN ('confirm', 'assign')))
    ORDER BY o.started_at DESC, e.event_id LIMIT :most
    """
)
_WRITE = text(
    """
    INSERT INTO oms_topology.inference_setting (rates) VALUES (CAST(:rates AS jsonb))
    ON CONFLICT (is_only_row) DO UPDATE SET rates = excluded.rates
    """
)


class ClosedOutage(NamedTuple):
    """An outage that is over.

    Attributes
    ----------
    segment_no : int
        Its supply tree, by the ``device_no`` of the source.
    device : DeviceReference
        What had failed.
    started_at, ended_at : aware datetime, UTC
        From when until when.
    """

    segment_no: int
    device: DeviceReference
    started_at: datetime
    ended_at: datetime


def read_closed_outages(
    connection: Connection, *, since: datetime, least_confidence: float, most: int
) -> list[ClosedOutage]:
    """Read the outages that are over and whose cause is sure, the newest first.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        To the database.
    since : aware datetime
        Those that began then or later.
    least_confidence : float
        Their probability at least, unless people confirmed one.
    most : int
        How many at most.

    Returns
    -------
    list of ClosedOutage
        Without momentary, planned and cancelled ones, and without those of single meters.
    """
    where = {"since": since, "least_confidence": least_confidence, "most": most}
    return [
        ClosedOutage(
            row.segment_no, DeviceReference(DeviceKind(row.kind), row.code), row.started_at, row.ended_at
        )
        for row in connection.execute(_CLOSED, where)
    ]


def write_rates(connection: Connection, rates: dict[str, Any]) -> None:
    """Set what reports weigh from now on, in the form of ``EvidenceRates.to_mapping``."""
    connection.execute(_WRITE, {"rates": json.dumps(rates)})
