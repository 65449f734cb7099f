"""Writes what is concluded about a supply tree: its outages, with their sources, timeline and revisions."""

from __future__ import annotations

import json
from hashlib import md5
from typing import TYPE_CHECKING, TypedDict

from sqlalchemy import text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from typing import Any
    from uuid import UUID

    from sqlalchemy import Connection

    from oms_topology.model import DeviceReference
    from oms_topology.persistence.evidence import TreeEvidence

__all__ = ["WantedOutage", "WantedSource", "clear_verified", "outage_code", "set_due", "write_conclusions"]

_CONCLUDE = text(
    """
    SELECT oms_topology.conclude(:segment_nos, :since, :at, :seen, CAST(:wanted AS jsonb),
                                 CAST(:known AS jsonb), CAST(:reasons AS jsonb))
    """
)
_DUE = text("SELECT oms_topology.set_inference_due(:segment_no, :first_at, :due_at)")
_CLEAR = text("SELECT oms_topology.clear_verified(:at)")


class WantedSource(TypedDict):
    """One report behind an outage; times are texts of ISO 8601."""

    source_type: str
    id: str
    source_table: str
    weight: float
    at: str


class WantedOutage(TypedDict):
    """One outage as the database is to show it; times are texts of ISO 8601."""

    place: int
    kind: str
    code: str
    started_at: str
    ended_at: str | None
    verified_at: str | None
    own_record_id: str | None
    posterior: float
    dead_posterior: float
    customers: int
    severity: str
    root_cause: str
    description: str
    area: dict[str, Any] | None
    latitude: float | None
    longitude: float | None
    supports: list[WantedSource]
    alternatives: list[dict[str, Any]]
    reasons: list[str]
    still_dark: list[str]
    steps: list[dict[str, Any]]
    surfaced_kind: str | None
    surfaced_code: str | None
    surfaced_at: str | None


def write_conclusions(
    connection: Connection,
    evidence: TreeEvidence,
    wanted: Sequence[WantedOutage],
    *,
    reasons: Mapping[str, str],
    at: datetime,
) -> tuple[UUID, ...]:
    """Make the outages of trees, as far as they reach beyond ``evidence.since``, those that are wanted.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        In the transaction that took the work and read the evidence.
    evidence : TreeEvidence
        What they follow from.
    wanted : sequence of WantedOutage
        Each ``place`` once.
    reasons : mapping of str to str
        Of hypotheses, by their ``event_id``, why they no longer stand.
    at : aware datetime
        The instant that was asked about.

    Returns
    -------
    tuple of UUID
        The outages, those that ended first.

    Raises
    ------
    sqlalchemy.exc.DBAPIError
        With SQLSTATE 40001 where devices or people moved an outage of the tree since the evidence was
        read: run the transaction again.
    """
    known: dict[str, dict[str, int]] = {}
    for (source, _), row in evidence.rows.items():
        known.setdefault(source, {})[row.record_id] = 1
    found = connection.execute(
        _CONCLUDE,
        {
            "segment_nos": list(evidence.segment_nos),
            "since": evidence.since,
            "at": at,
            "seen": evidence.seen,
            "wanted": json.dumps(wanted),
            "known": json.dumps(known),
            "reasons": json.dumps(reasons),
        },
    ).scalar_one()
    return tuple(found)


def set_due(
    connection: Connection, segment_no: int, *, first_at: datetime | None, due_at: datetime | None
) -> None:
    """Set when a tree is to be judged again, for reports from ``first_at`` on; None for not by itself."""
    connection.execute(_DUE, {"segment_no": segment_no, "first_at": first_at, "due_at": due_at})


def clear_verified(connection: Connection, *, at: datetime) -> int:
    """Clear outages that were over a day ago or more and that meters have verified since; gives how many."""
    return int(connection.execute(_CLEAR, {"at": at}).scalar_one())


def outage_code(device: DeviceReference, started_at: datetime) -> str:
    """Give the ``event_id`` of an outage, as ``oms_topology.outage_code`` does.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from oms_topology.model import DeviceKind, DeviceReference
    >>> outage_code(DeviceReference(DeviceKind.FEEDER, "F1"), datetime(2025, 10, 1, 8, 2, 1, tzinfo=UTC))
    'OMS_SCADA_1759305721_...'
    """
    seconds = int(started_at.replace(microsecond=0).timestamp())
    instant = f"{device.kind.value}:{device.code}:{seconds * 1_000_000 + started_at.microsecond}"
    return f"OMS_SCADA_{seconds}_{md5(instant.encode(), usedforsecurity=False).hexdigest()[:8]}"
