"""The demo's story as a person reads it on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

from oms_topology.cli.common import clock, seconds, table
from oms_topology.cli.outage_tables import audit_table, dark_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console, RenderableType

    from oms_topology.cli.story import Chapter

__all__ = ["show_chapter", "show_end"]

_INDENT = 4
_MAX_WIDTH = 100
_SHOWN_POINTS = 4


def show_chapter(out: Console, number: int, chapter: Chapter) -> None:
    """Print one chapter: its heading with the time it took, what came out, and what failed, if anything."""
    title, tell = _CHAPTERS[chapter.name]
    heading = Text.assemble((f"{number:>2}  ", "bold cyan"), (title, "bold"))
    took = Text(seconds(chapter.duration_s), style="dim")
    took.pad_left(max(2, min(out.width, _MAX_WIDTH) - heading.cell_len - took.cell_len))
    out.print(Text.assemble(heading, took))
    for part in tell(chapter.facts):
        out.print(Padding(part, (0, 0, 0, _INDENT), expand=False) if part else "")
    for check, passed in chapter.checks.items():
        if not passed:
            said = f"[bold red]NOT AS EXPECTED:[/bold red] {escape(check)}"
            out.print(Padding(said, (0, 0, 0, _INDENT), expand=False))
    out.print()


def show_end(out: Console, *, checks: int, failed: int, duration_s: float, kept_in: str | None) -> None:
    """Print the closing lines."""
    out.print(Rule(style="dim"), width=min(out.width, _MAX_WIDTH))
    if failed:
        out.print(f"[bold red]{failed} of {checks} checks failed[/bold red], {seconds(duration_s)} in all.")
    else:
        out.print(f"[bold green]All {checks} checks hold[/bold green], {seconds(duration_s)} in all.")
    if kept_in is not None:
        out.print("The database is kept. Look around in it:", style="dim")
        for command in ("outages list --all", "network info", "db verify"):
            out.print(f"  oms-topology {command} --database {escape(kept_in)}", style="dim", soft_wrap=True)


def _database(facts: dict[str, Any]) -> list[RenderableType]:
    return [
        f"PostgreSQL [bold]{facts['server']}[/bold] ({facts['origin']}) started in"
        f" {seconds(facts['start_s'])} on a private socket, fsync {facts['fsync']}",
        f"Schema [bold]{facts['schema_version']}[/bold] installed in {seconds(facts['upgrade_s'])},"
        f" deviations: {facts['deviations']}",
        Text(str(facts["directory"]), style="dim"),
    ]


def _network(facts: dict[str, Any]) -> list[RenderableType]:
    equal = "says the same" if not facts["differences"] else f"differs in {', '.join(facts['differences'])}"
    return [
        f"[bold]{facts['sample']}[/bold]: {facts['meters']:,} meters of {facts['customers']:,} customers,"
        f" {facts['devices']:,} devices up to {facts['hops_deepest']} hops from the source,"
        f" {facts['feeders']} feeders, {facts['switches']} switches",
        f"Loaded in {seconds(facts['load_s'])}, stored in {seconds(facts['store_s'])},"
        f" read back into a graph in {seconds(facts['read_back_s'])}: [green]{equal}[/green]",
    ]


def _power(facts: dict[str, Any]) -> str:
    power = facts["power"]
    dark = f"[bold red]{power['off']:,} dark[/bold red]" if power["off"] else "[green]0 dark[/green]"
    return f"{power['on']:,} meters with power, {dark}, {power['unknown']:,} unknown"


def _in_service(facts: dict[str, Any]) -> list[RenderableType]:
    return [f"{facts['messages']} SCADA messages: every feeder reports supply. {_power(facts)}"]


def _trip(facts: dict[str, Any]) -> list[RenderableType]:
    receipt, points = facts["receipt"], facts["distribution_points"]
    rest = receipt.offline_meters - len(facts["rows"])
    shown = list(points.items())[:_SHOWN_POINTS]
    most = ", ".join(f"{code or 'none'} {meters}" for code, meters in shown)
    more = f", and {len(points) - len(shown):,} more" if len(points) > len(shown) else ""
    return [
        f"Feeder [bold]{escape(facts['feeder'])}[/bold] says de-energised; recorded, with outage and audit",
        f"[bold red]{receipt.offline_meters:,} meters dark, {receipt.affected_customers:,} customers without"
        f" power[/bold red] at {len(points):,} distribution points",
        f"[dim]meters by distribution point: {escape(most)}{more}[/dim]",
        "",
        dark_table(facts["rows"]),
        *([f"[dim]... and {rest:,} more meters[/dim]"] if rest > 0 else []),
    ]


def _redelivery(facts: dict[str, Any]) -> list[RenderableType]:
    word = "duplicate" if facts["receipt"].duplicate else "new"
    return [f"The same event in another envelope: [bold]{word}[/bold], nothing changed"]


def _last_gasps(facts: dict[str, Any]) -> list[RenderableType]:
    return [
        f"{facts['messages']} ONU messages through the SQL door: {facts['meters']} of the dark meters say so"
        " themselves",
        f"{_power(facts)}; nobody is counted twice, no audit row is doubled",
    ]


def _why(facts: dict[str, Any]) -> list[RenderableType]:
    explanation = facts["explanation"]
    rows = [(item.at, item.subject, item.says, item.source) for item in explanation.evidence]
    since = f" since {clock(explanation.since)}" if explanation.since else ""
    return [
        f"Meter [bold]{escape(explanation.meter_number)}[/bold] is {explanation.power_status}{since}",
        f"[dim]because {escape(explanation.reason)}[/dim]",
        table(["at", "who", "says", "source"], rows),
        *(f"[dim]open outage above it: {escape(code)}[/dim]" for code in explanation.outages),
    ]


def _restoration(facts: dict[str, Any]) -> list[RenderableType]:
    return [
        f"Feeder [bold]{escape(facts['feeder'])}[/bold] says energised:"
        f" [bold green]{facts['receipt'].restored_meters:,} meters have power again[/bold green]",
        f"{len(facts['still_dark'])} meters stay dark: their own last gasp stands until they say otherwise",
    ]


def _own_reports(facts: dict[str, Any]) -> list[RenderableType]:
    return [f"{facts['messages']} ONU messages: they have power again. {_power(facts)}"]


def _books(facts: dict[str, Any]) -> list[RenderableType]:
    outage, sources = facts["outage"].outage, facts["outage"].sources
    until = clock(outage.restored_at) if outage.restored_at else "now"
    return [
        f"Outage [bold]{escape(outage.event_id)}[/bold] is [bold green]{outage.status}[/bold green]:"
        f" {outage.device_kind} {escape(str(outage.device_code))}, {outage.affected_customers:,} customers",
        f"[dim]{clock(outage.started_at)} to {until}, confidence {outage.confidence},"
        f" supported by {', '.join(sorted({source.source for source in sources}))}[/dim]",
        "",
        f"Audit of meter [bold]{escape(facts['meter_number'])}[/bold]",
        audit_table(facts["audit"]),
    ]


_CHAPTERS: dict[str, tuple[str, Callable[[dict[str, Any]], list[RenderableType]]]] = {
    "database": ("A PostgreSQL of its own", _database),
    "network": ("A real network, stored and read back", _network),
    "in_service": ("06:00  In service", _in_service),
    "trip": ("08:02  A feeder trips", _trip),
    "redelivery": ("08:02  The message comes twice", _redelivery),
    "last_gasps": ("08:02  Last gasps", _last_gasps),
    "why": ("Why is this meter dark?", _why),
    "restoration": ("08:31  The feeder is back", _restoration),
    "own_reports": ("08:32  The last meters report", _own_reports),
    "books": ("What stands in the books", _books),
}
