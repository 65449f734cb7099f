"""What people decide about outages: confirm, send a crew, restore, cancel, estimate, plan."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import psycopg
from sqlalchemy import exc as sa_errors
from sqlalchemy import text

from oms_topology.errors import AmbiguousDeviceError, ConflictError, DecisionRefusedError, UnknownDeviceError
from oms_topology.persistence.database import as_engine, translated_errors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection, Engine, TextClause

    from oms_topology.persistence.database import Database

__all__ = ["Decision", "Operator", "PlannedOutage", "StillDark", "still_dark"]

_UNKNOWN, _ILLEGAL, _WRONG = "OMT01", "OMT02", "OMT03"
_RACES: Final = 4

_CONFIRM = text("SELECT * FROM oms_topology.confirm_outage(:outage, :operator, :reason, :at, :request_id)")
_ASSIGN = text(
    """
    SELECT * FROM oms_topology.assign_crew(
        :outage, :crew_id, :assignment_type, :operator, :reason, :at, :request_id)
    """
)
_RESTORE = text("SELECT * FROM oms_topology.restore_outage(:outage, :operator, :reason, :at, :request_id)")
_CANCEL = text("SELECT * FROM oms_topology.cancel_outage(:outage, :operator, :reason, :at, :request_id)")
_ESTIMATE = text(
    "SELECT * FROM oms_topology.estimate_outage(:outage, :estimated_at, :operator, :reason, :request_id)"
)
_DEVICE = text(
    """
    SELECT device_no, kind FROM oms_topology.device
    WHERE code = :code AND (CAST(:kind AS text) IS NULL OR kind = :kind) ORDER BY kind
    """
)
_PLAN = text(
    "SELECT * FROM oms_topology.plan_outage(:device_no, :starts_at, :ends_at, :reference, :operator)"
)
_WITHDRAW_PLAN = text("SELECT oms_topology.withdraw_plan(:planned_no, :operator)")
_STILL_DARK = text(
    "SELECT d.* FROM oms_topology.find_outage(:outage) AS o (id), LATERAL oms_topology.still_dark(o.id) AS d"
)


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a decision about an outage.

    Attributes
    ----------
    outage_event_id, event_id : str
        The outage, by uuid and by readable id: the one asked for, or the one that has taken its place since
        the same request came first.
    status : str or None
        Its status now; None when it is no longer there.
    is_new : bool
        Whether anything was changed; False when the same request had come before, or asked for what holds.
    """

    outage_event_id: str
    event_id: str
    status: str | None
    is_new: bool


@dataclass(frozen=True, slots=True)
class PlannedOutage:
    """What became of a plan.

    Attributes
    ----------
    planned_no : int
        Its number, to take it back by.
    is_new : bool
        False when the same was planned before.
    retyped : int
        Outages on record that count as planned (or no longer) from now on.
    """

    planned_no: int
    is_new: bool
    retyped: int


@dataclass(frozen=True, slots=True)
class StillDark:
    """A meter whose own newest report says that it has no power.

    Attributes
    ----------
    meter_number : str
        The meter.
    customer_id : str or None
        Whose it is.
    criticality : int or None
        1 critical to 4 low; None when nobody has said.
    distribution_point, feeder : str or None
        Where it hangs.
    since : aware datetime, UTC
        The time of that report.
    """

    meter_number: str
    customer_id: str | None
    criticality: int | None
    distribution_point: str | None
    feeder: str | None
    since: datetime


class Operator:
    """A person in the control room, who decides about outages.

    Every decision is one transaction. It is recorded with the operator's id, and later evidence respects it.
    The same decision again changes nothing: known by its ``request_id``, or without one by its content.

    Parameters
    ----------
    database : Database, sqlalchemy.Engine or str
        Where the outages are.
    operator_id : str
        Who decides: at most 64 letters, digits, dots, dashes or underscores. An id, never a name.

    Notes
    -----
    Every method raises :class:`~oms_topology.errors.UnknownDeviceError` for an outage (or device) that there
    is not, :class:`~oms_topology.errors.DecisionRefusedError` for what is not possible in the outage's status
    or wrong in itself, and the transient errors of the database. What lost a race is tried again by itself.

    Examples
    --------
    >>> Operator("postgresql://dispatcher@grid.example/oms", "OP7")
    Operator('OP7')
    """

    def __init__(self, database: Database | Engine | str, operator_id: str) -> None:
        self._engine = as_engine(database)
        self.operator_id = operator_id

    def confirm(
        self,
        outage: str,
        *,
        reason: str | None = None,
        at: datetime | None = None,
        request_id: str | None = None,
    ) -> Decision:
        """Confirm a detected outage.

        Parameters
        ----------
        outage : str
            Its readable id or its uuid.
        reason : str, optional
            Why, for the timeline; no personal data.
        at : aware datetime, optional
            When it took effect; now by default.
        request_id : str, optional
            Makes a repetition of this very request known.
        """
        return self._decide(_CONFIRM, "confirm", outage, reason=reason, at=at, request_id=request_id)

    def assign(
        self,
        outage: str,
        crew_id: str,
        assignment_type: str = "repair",
        *,
        reason: str | None = None,
        at: datetime | None = None,
        request_id: str | None = None,
    ) -> Decision:
        """Send a crew: the outage is in progress from then on. Several crews may be sent.

        Parameters
        ----------
        outage : str
            Its readable id or its uuid.
        crew_id, assignment_type : str
            Whom, and for what (at most 64 and 32 characters).
        reason, at, request_id
            As in :meth:`confirm`.
        """
        return self._decide(
            _ASSIGN,
            "assign",
            outage,
            crew_id=crew_id,
            assignment_type=assignment_type,
            reason=reason,
            at=at,
            request_id=request_id,
        )

    def restore(
        self,
        outage: str,
        *,
        at: datetime | None = None,
        reason: str | None = None,
        request_id: str | None = None,
    ) -> Decision:
        """Say that supply is back. What its device reports of later times is another outage.

        Outages further down that it covered and that are not over stand for themselves from then on. Meters
        keep the status that reports gave them; :func:`still_dark` lists those to look after.

        Parameters
        ----------
        outage : str
            Its readable id or its uuid.
        at : aware datetime, optional
            Since when; now by default.
        reason, request_id
            As in :meth:`confirm`.
        """
        return self._decide(_RESTORE, "restore", outage, reason=reason, at=at, request_id=request_id)

    def cancel(
        self, outage: str, reason: str, *, at: datetime | None = None, request_id: str | None = None
    ) -> Decision:
        """Say that there was no outage. What is reported of later times is another one.

        Parameters
        ----------
        outage : str
            Its readable id or its uuid.
        reason : str
            Why; needed, and no personal data.
        at : aware datetime, optional
            Until when reports belong to it; now by default.
        request_id : str, optional
            As in :meth:`confirm`.
        """
        return self._decide(_CANCEL, "cancel", outage, reason=reason, at=at, request_id=request_id)

    def estimate(
        self,
        outage: str,
        estimated_at: datetime,
        *,
        reason: str | None = None,
        request_id: str | None = None,
    ) -> Decision:
        """Say when supply will be back; this wins over what history says.

        Parameters
        ----------
        outage : str
            Its readable id or its uuid.
        estimated_at : aware datetime
            When.
        reason, request_id
            As in :meth:`confirm`.
        """
        return self._decide(
            _ESTIMATE, "estimate", outage, estimated_at=estimated_at, reason=reason, request_id=request_id
        )

    def plan(
        self,
        code: str,
        starts_at: datetime,
        ends_at: datetime,
        *,
        reference: str = "",
        kind: str | None = None,
    ) -> PlannedOutage:
        """Plan an outage: a loss below this device that begins in that time is no fault.

        Parameters
        ----------
        code : str
            The device.
        starts_at, ends_at : aware datetime
            The time, its end not included.
        reference : str
            The work order, say.
        kind : str, optional
            ``"feeder"`` and so on, where a code is used by several kinds.

        Raises
        ------
        AmbiguousDeviceError
            Several kinds of devices have the code.
        """
        found = self._run(_DEVICE, "plan", code, {"code": code, "kind": kind})
        if not found:
            raise UnknownDeviceError(code, kind=kind or "device")
        if len(found) > 1:
            raise AmbiguousDeviceError(code, [row["kind"] for row in found])
        values = {
            "device_no": found[0]["device_no"],
            "starts_at": starts_at,
            "ends_at": ends_at,
            "reference": reference,
            "operator": self.operator_id,
        }
        return PlannedOutage(**self._run(_PLAN, "plan", code, values)[0])

    def withdraw_plan(self, planned_no: int) -> bool:
        """Take a plan back; tell whether it was there."""
        values = {"planned_no": planned_no, "operator": self.operator_id}
        (row,) = self._run(_WITHDRAW_PLAN, "withdraw", f"plan {planned_no}", values)
        return bool(row["withdraw_plan"])

    def __repr__(self) -> str:
        return f"Operator({self.operator_id!r})"

    def _decide(self, statement: TextClause, action: str, outage: str, **values: Any) -> Decision:
        asked = {"outage": outage, "operator": self.operator_id, **values}
        (row,) = self._run(statement, action, outage, asked)
        return Decision(**row | {"outage_event_id": str(row["outage_event_id"])})

    def _run(
        self, statement: TextClause, action: str, outage: str, values: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        for _ in range(_RACES):
            with suppress(ConflictError):
                return self._run_once(statement, action, outage, values)
        return self._run_once(statement, action, outage, values)

    def _run_once(
        self, statement: TextClause, action: str, outage: str, values: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        try:
            with translated_errors(), self._engine.begin() as connection:
                return _answered(connection, statement, values)
        except sa_errors.DBAPIError as error:
            raise _refusal(error, action, outage) from None


def still_dark(database: Database | Engine | str, outage: str) -> list[StillDark]:
    """List who is still without power by the meters' own newest reports, below an outage's device.

    Parameters
    ----------
    database : Database, sqlalchemy.Engine or str
        Where the outages are.
    outage : str
        Its readable id or its uuid.

    Returns
    -------
    list of StillDark
        Critical customers first, then by how long they have been dark; empty for an outage without a device.

    Raises
    ------
    UnknownDeviceError
        There is no such outage.
    """
    try:
        with translated_errors(), as_engine(database).connect() as connection:
            return [StillDark(**row) for row in _answered(connection, _STILL_DARK, {"outage": outage})]
    except sa_errors.DBAPIError as error:
        raise _refusal(error, "verify", outage) from None


def _answered(
    connection: Connection, statement: TextClause, values: Mapping[str, Any]
) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(statement, dict(values)).mappings()]


def _refusal(error: sa_errors.DBAPIError, action: str, outage: str) -> Exception:
    original = error.orig
    if not isinstance(original, psycopg.Error) or original.sqlstate not in {_UNKNOWN, _ILLEGAL, _WRONG}:
        return error
    if original.sqlstate == _UNKNOWN:
        return UnknownDeviceError(outage, kind="outage")
    return DecisionRefusedError(
        outage,
        action,
        original.diag.message_primary or str(original),
        is_illegal_move=original.sqlstate == _ILLEGAL,
    )
