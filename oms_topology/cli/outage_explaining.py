"""``oms-topology outages explain``: why there is an outage, and why a meter is dark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from oms_topology.cli.common import DatabaseOption, JsonOption, clock, emit_json, opened, screen, table
from oms_topology.cli.outage_tables import audit_table, outage_table, sources_table, steps_table
from oms_topology.persistence.explain import explain_meter
from oms_topology.persistence.explain_outage import explain_outage
from oms_topology.persistence.records import audit_of

if TYPE_CHECKING:
    from rich.console import Console

    from oms_topology.persistence.explain import Explanation
    from oms_topology.persistence.explain_outage import OutageExplanation, WithdrawnOutage

__all__ = ["explain", "show_explanation"]


def explain(
    code: Annotated[str | None, typer.Argument(help="The outage's readable id or its uuid.")] = None,
    *,
    meter_number: Annotated[
        str | None, typer.Option("--meter", "-m", help="Explain a meter instead.")
    ] = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say why there is an outage (rule, evidence, alternatives, history), or why a meter is dark."""
    if (code is None) == (meter_number is None):
        raise typer.BadParameter("name an outage, or a meter with --meter")
    if code is not None:
        _explain_outage(code, database, as_json=as_json)
    else:
        _explain_meter(str(meter_number), database, as_json=as_json)


def _explain_outage(code: str, database: str | None, *, as_json: bool) -> None:
    with opened(database) as db:
        explanation = explain_outage(db.engine, code)
    if as_json:
        emit_json({"explanation": explanation})
    else:
        _show_outage(screen(), explanation)


def _show_outage(out: Console, said: OutageExplanation) -> None:
    for gone in said.asked:
        out.print(f"{_withdrawn(gone)}{'' if gone.superseded_by else ' Nothing stands in its place.'}")
    if said.detail is None:
        return
    out.print(outage_table([said.detail.outage]))
    out.print(f"\n{said.rule}")
    for reason in said.reasons:
        out.print(f"  {escape(reason)}")
    if said.posterior is not None:
        out.print(f"Its device has failed with probability {said.posterior:.4f}.")
    if said.alternatives:
        out.print("\n[bold]What else it could be[/bold]")
        out.print(
            table(["device", "#probability"], [(a.device, f"{a.posterior:.4f}") for a in said.alternatives])
        )
    out.print("\n[bold]Evidence[/bold]")
    out.print(sources_table(said.detail.sources))
    if said.decisions:
        out.print("\n[bold]What people decided[/bold]")
        rows = [(d.at, d.action, d.operator_id, d.reason) for d in said.decisions]
        out.print(table(["at", "what", "by", "why"], rows))
    if said.superseded:
        out.print("\n[bold]It took the place of[/bold]")
        for gone in said.superseded:
            out.print(f"  {_withdrawn(gone)}")
    out.print("\n[bold]How it went[/bold]")
    out.print(steps_table(said.detail.timeline))


def _withdrawn(gone: WithdrawnOutage) -> str:
    return (
        f"{escape(gone.event_id)}, from {clock(gone.started_at)}, was withdrawn at"
        f" {clock(gone.withdrawn_at)}: {escape(gone.reason)}"
    )


def _explain_meter(meter_number: str, database: str | None, *, as_json: bool) -> None:
    with opened(database) as db:
        explanation = explain_meter(db.engine, meter_number)
        audit = audit_of(db.engine, meter_number)
    if as_json:
        emit_json({"explanation": explanation, "audit": audit})
        return
    out = screen()
    show_explanation(out, explanation)
    out.print("\n[bold]Audit[/bold]")
    out.print(audit_table(audit))


def show_explanation(out: Console, explanation: Explanation) -> None:
    """Print why a meter has its status."""
    since = f" since {clock(explanation.since)}" if explanation.since else ""
    out.print(
        f"Meter {escape(explanation.meter_number)} is [bold]{explanation.power_status}[/bold]{since}:"
        f" {escape(explanation.reason)}"
    )
    rows = [(item.at, item.subject, item.says, item.source) for item in explanation.evidence]
    out.print(table(["at", "who", "says", "source"], rows))
    for code in explanation.outages:
        out.print(f"open outage above it: {escape(code)}")
