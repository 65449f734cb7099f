"""``oms-topology outages``: which there are, how one went, and what people do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from oms_topology.cli.common import DatabaseOption, JsonOption, emit_json, opened, screen, subcommands
from oms_topology.cli.inferring import infer
from oms_topology.cli.learning import learn
from oms_topology.cli.notifying import notify
from oms_topology.cli.outage_deciding import assign, cancel, confirm, estimate, plan, restore
from oms_topology.cli.outage_explaining import explain
from oms_topology.cli.outage_tables import critical_mark, dark_table, outage_table, sources_table, steps_table
from oms_topology.persistence.life_cycle import still_dark
from oms_topology.persistence.records import outage_detail, outage_rows

if TYPE_CHECKING:
    from rich.console import Console

    from oms_topology.persistence.life_cycle import StillDark
    from oms_topology.persistence.records import OutageDetail

__all__ = ["commands"]

commands = subcommands("Outages: list them, show or explain one, decide about it.")
commands.command("infer")(infer)
commands.command("notify")(notify)
commands.command("learn")(learn)
commands.command()(explain)
for _decision in (confirm, assign, restore, cancel, estimate, plan):
    commands.command()(_decision)


@commands.command("list")
def list_outages(
    *,
    closed: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the open outages, those with critical customers first; with --all the closed ones after them."""
    with opened(database) as db:
        outages = outage_rows(db.engine, closed=closed, limit=limit)
    if as_json:
        emit_json({"outages": outages})
    elif outages:
        screen().print(outage_table(outages))
    else:
        screen().print("No outage." if closed else "No open outage.")


@commands.command()
def show(
    code: Annotated[str, typer.Argument(help="Its readable id or its uuid.")],
    *,
    limit: Annotated[int, typer.Option(min=0, help="Meters to show; --json gives all.")] = 20,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show an outage: its device, what supports it, how it went, and who is without power now."""
    with opened(database) as db:
        detail = outage_detail(db.engine, code)
        unverified = still_dark(db, detail.outage.outage_event_id) if detail.outage.restored_at else []
    if as_json:
        emit_json({"still_dark": unverified, **{name: getattr(detail, name) for name in detail.__slots__}})
    else:
        _show_detail(screen(), detail, unverified, limit)


def _show_detail(out: Console, detail: OutageDetail, unverified: list[StillDark], limit: int) -> None:
    out.print(outage_table([detail.outage]))
    out.print("\n[bold]Supported by[/bold]")
    out.print(sources_table(detail.sources))
    out.print("\n[bold]How it went[/bold]")
    out.print(steps_table(detail.timeline))
    if unverified:
        out.print(f"\n[bold]Still dark by their own word[/bold]: {len(unverified):,} meters")
        out.print(dark_table(unverified[:limit], marks=[critical_mark(row) for row in unverified[:limit]]))
    elif detail.dark:
        out.print(f"\n[bold]Without power now[/bold]: {len(detail.dark):,} meters")
        out.print(dark_table(detail.dark[:limit]))
