"""Why there is an outage: what it follows from, what else it could be, what it took the place of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from oms_topology.errors import UnknownDeviceError
from oms_topology.persistence.database import translated_errors
from oms_topology.persistence.records import OutageDetail, outage_detail

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Engine

__all__ = ["Alternative", "DecisionRow", "OutageExplanation", "WithdrawnOutage", "explain_outage"]

_COLUMNS = "event_id, started_at, description, withdrawn_at, reason, superseded_by::text"
# Each withdrawn outage with the one that stands in its place, from the one asked for to the last.
_FORWARD = text(
    f"""
    WITH RECURSIVE chain AS (
        (SELECT w.*, 1 AS step FROM oms_topology.withdrawn_outage w
         WHERE w.event_id = :code OR w.outage_event_id::text = :code ORDER BY w.revision_no DESC LIMIT 1)
        UNION ALL
        SELECT n.*, c.step + 1
        FROM chain c JOIN oms_topology.withdrawn_outage n ON n.outage_event_id = c.superseded_by
        WHERE c.step < 1000
    )
    SELECT {_COLUMNS} FROM chain ORDER BY step
    """  # noqa: S608
)
_BACK = text(
    f"""
    WITH RECURSIVE chain AS (
        SELECT w.* FROM oms_topology.withdrawn_outage w WHERE w.superseded_by = CAST(:id AS uuid)
        UNION
        SELECT n.* FROM chain c JOIN oms_topology.withdrawn_outage n ON n.superseded_by = c.outage_event_id
    )
    SELECT {_COLUMNS} FROM chain ORDER BY revision_no
    """  # noqa: S608
)
_DECISIONS = text(
    """
    SELECT at, action, operator_id, reason, decided_at FROM oms_topology.outage_decision
    WHERE outage_event_id = CAST(:id AS uuid) ORDER BY decision_no
    """
)
_IS_OWN_REPORT = text(
    "SELECT EXISTS (SELECT FROM oms_topology.outage_device WHERE outage_event_id = CAST(:id AS uuid))"
)
_IS_INFERRING = text("SELECT to_regclass('oms_topology.outage_inference') IS NOT NULL")
_INFERENCE = text("SELECT * FROM oms_topology.outage_inference WHERE outage_event_id = CAST(:id AS uuid)")


@dataclass(frozen=True, slots=True)
class WithdrawnOutage:
    """A hypothesis that stood for a while.

    Attributes
    ----------
    event_id : str
        Its readable id.
    started_at, withdrawn_at : aware datetime, UTC
        When it would have begun, and when it was withdrawn.
    description : str or None
        What it said.
    reason : str
        Why it no longer stands.
    superseded_by : str or None
        The uuid of the outage in its place.
    """

    event_id: str
    started_at: datetime
    description: str | None
    withdrawn_at: datetime
    reason: str
    superseded_by: str | None


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """What a person decided about an outage: in effect from ``at``, said at ``decided_at``."""

    at: datetime
    action: str
    operator_id: str
    reason: str | None
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class Alternative:
    """What else could be to blame, and how probably."""

    device: str
    posterior: float


@dataclass(frozen=True, slots=True)
class OutageExplanation:
    """Why there is an outage, or why there is none any more.

    Attributes
    ----------
    asked : tuple of WithdrawnOutage
        Empty for an outage that stands; else the one asked for, and what took its place and went too.
    rule : str
        By which rule it was concluded, in a sentence.
    reasons : tuple of str
        What speaks for it, in sentences.
    posterior : float or None
        How probably its device has failed; None where nothing was inferred.
    alternatives : tuple of Alternative
        Most probable first; empty where nothing was inferred.
    detail : OutageDetail or None
        The outage with its evidence and timeline; None when nothing stands in the place of the one asked for.
    decisions : tuple of DecisionRow
        What people decided, in the order in which they said so.
    superseded : tuple of WithdrawnOutage
        What it took the place of, directly or through others, in the order of withdrawal.
    """

    asked: tuple[WithdrawnOutage, ...]
    rule: str
    reasons: tuple[str, ...]
    posterior: float | None
    alternatives: tuple[Alternative, ...]
    detail: OutageDetail | None
    decisions: tuple[DecisionRow, ...]
    superseded: tuple[WithdrawnOutage, ...]


def explain_outage(engine: Engine, code: str) -> OutageExplanation:
    """Tell why there is an outage; of a withdrawn one, what became of it.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        The database.
    code : str
        Its readable id or its uuid.

    Raises
    ------
    UnknownDeviceError
        There is no such outage, and never was.
    """
    with translated_errors():
        try:
            detail: OutageDetail | None = outage_detail(engine, code)
            asked: tuple[WithdrawnOutage, ...] = ()
        except UnknownDeviceError:
            with engine.connect() as connection:
                asked = _withdrawn(connection, _FORWARD, {"code": code})
            if not asked:
                raise
            last = asked[-1].superseded_by
            detail = outage_detail(engine, last) if last else None
        if detail is None:
            return OutageExplanation(asked, asked[-1].reason, (), None, (), None, (), ())
        with engine.connect() as connection:
            return _explained(connection, asked, detail)


def _explained(
    connection: Connection, asked: tuple[WithdrawnOutage, ...], detail: OutageDetail
) -> OutageExplanation:
    key = {"id": detail.outage.outage_event_id}
    inferred = None
    if connection.execute(_IS_INFERRING).scalar_one():
        inferred = connection.execute(_INFERENCE, key).one_or_none()
    decisions = tuple(DecisionRow(**row) for row in connection.execute(_DECISIONS, key).mappings())
    superseded = _withdrawn(connection, _BACK, key)
    if inferred is not None:
        rule = "Inferred: it is part of the most probable explanation of all that was heard and not heard."
        alternatives = tuple(
            Alternative(f"{other['kind'].replace('_', ' ')} {other['code']}", other["posterior"])
            for other in inferred.alternatives
        )
        return OutageExplanation(
            asked,
            rule,
            tuple(inferred.reasons),
            inferred.posterior,
            alternatives,
            detail,
            decisions,
            superseded,
        )
    if connection.execute(_IS_OWN_REPORT, key).scalar_one():
        rule = "A device that reports itself de-energised is an outage, unless one above it is."
    else:
        rule = "Reports of one place and time were joined; no device of the network is blamed."
    said = (detail.description,) if detail.description else ()
    return OutageExplanation(asked, rule, said, None, (), detail, decisions, superseded)


def _withdrawn(connection: Connection, statement: Any, values: dict[str, str]) -> tuple[WithdrawnOutage, ...]:
    return tuple(WithdrawnOutage(**row) for row in connection.execute(statement, values).mappings())
