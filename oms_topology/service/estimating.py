"""Writes when supply will be back: by the plan, or by how long outages of the past have lasted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from oms_topology.outages.expected_restoration import OutageTraits, PastOutage, expected_duration
from oms_topology.persistence.database import as_engine, translated_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine, Row

    from oms_topology.persistence.database import Database

__all__ = ["estimate_restorations"]

HISTORY: Final = timedelta(days=730)
MOST_PAST_OUTAGES: Final = 5_000

_OPEN = text("SELECT * FROM oms_topology.outages_to_estimate()")
_PAST = text("SELECT * FROM oms_topology.past_outages(:since, :most)")
_WRITE = text(
    """
    SELECT oms_topology.write_estimates(
        CAST(:ids AS uuid[]), CAST(:estimated AS timestamptz[]), CAST(:earliest AS timestamptz[]),
        CAST(:latest AS timestamptz[]), CAST(:like AS integer[]), CAST(:bases AS text[]))
    """
)


def estimate_restorations(database: Database | Engine | str, *, at: datetime | None = None) -> int:
    """Estimate for every open outage when supply will be back, and write what has changed.

    A planned outage ends as planned. For the others speaks the history of the last two years (the newest
    5,000 outages that are over; momentary and planned ones left out): see
    :func:`oms_topology.outages.expected_restoration.expected_duration`. What a person or another service has
    said stands. Where there is no history, nothing is written, and an estimate that has been overtaken by the
    clock, with no longer outage on record, is taken back.

    Parameters
    ----------
    database : Database, sqlalchemy.Engine or str
        Where the outages are.
    at : aware datetime, optional
        The instant to estimate from; now by default.

    Returns
    -------
    int
        How many outages have another estimate than before.

    Raises
    ------
    StoreUnavailableError, ConflictError
        The database cannot be reached, or another transaction was in the way; try again.

    Notes
    -----
    Two reads and one write; some milliseconds of computation an outage with the longest history.
    """
    now = datetime.now(UTC) if at is None else at
    with translated_errors(), as_engine(database).begin() as connection:
        standing = connection.execute(_OPEN).all()
        if not standing:
            return 0
        past = [
            PastOutage(_traits(row), row.ended_at - row.started_at)
            for row in connection.execute(_PAST, {"since": now - HISTORY, "most": MOST_PAST_OUTAGES})
        ]
        estimates = [_estimate(row, past, now) for row in standing]
        columns = {name: [row[name] for row in estimates] for name in estimates[0]}
        return int(connection.execute(_WRITE, columns).scalar_one())


def _traits(row: Row[Any]) -> OutageTraits:
    return OutageTraits(row.device_kind, row.is_storm, row.cause, row.customers)


def _estimate(row: Row[Any], past: Sequence[PastOutage], now: datetime) -> dict[str, Any]:
    made = {"ids": row.outage_event_id, "earliest": None, "latest": None, "like": None, "bases": "as planned"}
    if row.planned_until is not None and row.planned_until > now:
        return made | {"estimated": row.planned_until}
    found = expected_duration(past, _traits(row), now - row.started_at)
    if found is None:
        return made | {"estimated": None}
    return made | {
        "estimated": row.started_at + found.median,
        "earliest": None if found.earliest is None else row.started_at + found.earliest,
        "latest": None if found.latest is None else row.started_at + found.latest,
        "like": found.like_outages,
        "bases": found.basis,
    }
