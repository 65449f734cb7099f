"""``oms-topology outages confirm|assign|restore|cancel|estimate|plan``: what people decide."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from oms_topology.cli.common import DatabaseOption, JsonOption, emit_json, opened, screen
from oms_topology.service.estimating import estimate_restorations

if TYPE_CHECKING:
    from oms_topology.persistence.life_cycle import Decision

__all__ = ["assign", "cancel", "confirm", "estimate", "plan", "restore"]


def _instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("write a time as 2025-10-01T08:02:01Z") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


OutageArgument = Annotated[str, typer.Argument(metavar="ID", help="Its readable id or its uuid.")]
OperatorOption = Annotated[
    str,
    typer.Option(
        "--operator",
        envvar="OMS_TOPOLOGY_OPERATOR",
        help="Who decides: an id, never a name.",
        show_default=False,
    ),
]
ReasonOption = Annotated[str | None, typer.Option(help="Why; no personal data.")]
RequestOption = Annotated[
    str | None, typer.Option("--request-id", help="Makes a repetition of this very request known.")
]
AtOption = Annotated[
    datetime | None,
    typer.Option(
        parser=_instant, metavar="TIME", help="When it took effect (UTC unless it has a zone); now."
    ),
]


def confirm(
    code: OutageArgument,
    *,
    operator: OperatorOption,
    reason: ReasonOption = None,
    at: AtOption = None,
    request_id: RequestOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Confirm a detected outage."""
    with opened(database) as db:
        decision = db.operator(operator).confirm(code, reason=reason, at=at, request_id=request_id)
    _tell(decision, as_json=as_json)


def assign(
    code: OutageArgument,
    crew_id: Annotated[str, typer.Argument(help="The crew's id.")],
    *,
    operator: OperatorOption,
    assignment_type: Annotated[str, typer.Option("--type", help="For what.")] = "repair",
    reason: ReasonOption = None,
    at: AtOption = None,
    request_id: RequestOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a crew to an outage, which is in progress from then on."""
    with opened(database) as db:
        decision = db.operator(operator).assign(
            code, crew_id, assignment_type, reason=reason, at=at, request_id=request_id
        )
    _tell(decision, as_json=as_json)


def restore(
    code: OutageArgument,
    *,
    operator: OperatorOption,
    reason: ReasonOption = None,
    at: AtOption = None,
    request_id: RequestOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that supply is back; "outages show" then lists who is still dark."""
    with opened(database) as db:
        decision = db.operator(operator).restore(code, at=at, reason=reason, request_id=request_id)
    _tell(decision, as_json=as_json)


def cancel(
    code: OutageArgument,
    *,
    operator: OperatorOption,
    reason: Annotated[str, typer.Option(help="Why there was none; no personal data.", show_default=False)],
    at: AtOption = None,
    request_id: RequestOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that there was no outage."""
    with opened(database) as db:
        decision = db.operator(operator).cancel(code, reason, at=at, request_id=request_id)
    _tell(decision, as_json=as_json)


def estimate(
    code: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="The outage; none: all open ones.")
    ] = None,
    *,
    until: Annotated[
        datetime | None, typer.Option(parser=_instant, metavar="TIME", help="When supply will be back.")
    ] = None,
    operator: Annotated[
        str | None, typer.Option("--operator", envvar="OMS_TOPOLOGY_OPERATOR", help="Who says so: an id.")
    ] = None,
    reason: ReasonOption = None,
    request_id: RequestOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say when supply will be back; without an outage, let history say it of all open ones."""
    if code is None and until is None:
        with opened(database) as db:
            changed = estimate_restorations(db)
        if as_json:
            emit_json({"changed": changed})
        else:
            screen().print(f"{changed:,} outages have another estimate than before.")
        return
    if code is None or until is None or operator is None:
        raise typer.BadParameter("a person's estimate needs the outage, --until and --operator")
    with opened(database) as db:
        decision = db.operator(operator).estimate(code, until, reason=reason, request_id=request_id)
    _tell(decision, as_json=as_json)


def plan(
    device: Annotated[str, typer.Argument(help="The device's code.")],
    *,
    operator: OperatorOption,
    begins: Annotated[datetime, typer.Option("--from", parser=_instant, metavar="TIME", help="From when.")],
    ends: Annotated[datetime, typer.Option("--until", parser=_instant, metavar="TIME", help="Until when.")],
    reference: Annotated[str, typer.Option(help="The work order, say.")] = "",
    kind: Annotated[str | None, typer.Option(help="feeder, ...: where several kinds have the code.")] = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Plan an outage: a loss below the device that begins in that time is no fault."""
    with opened(database) as db:
        planned = db.operator(operator).plan(device, begins, ends, reference=reference, kind=kind)
    if as_json:
        emit_json(planned)
        return
    word = "Planned" if planned.is_new else "Planned already"
    also = f"; {planned.retyped:,} outages on record count as planned now" if planned.retyped else ""
    screen().print(f"{word}: number {planned.planned_no}{also}.")


def _tell(decision: Decision, *, as_json: bool) -> None:
    if as_json:
        emit_json(decision)
        return
    status = "no longer there" if decision.status is None else decision.status.replace("_", " ")
    also = "" if decision.is_new else " Nothing was changed: it was so already."
    screen().print(f"Outage {escape(decision.event_id)} is {status}.{also}")
