"""``oms-topology network``: what hangs below what, and what is wrong with a network."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

from oms_topology import samples
from oms_topology.cli.common import (
    FINDINGS,
    DatabaseOption,
    JsonOption,
    emit_json,
    opened,
    screen,
    subcommands,
    table,
)
from oms_topology.graph.topology import Topology

if TYPE_CHECKING:
    from oms_topology.graph.impact import Impact

__all__ = ["commands"]

commands = subcommands("A network, in a database or a shipped sample: ask it, check it.")

SampleOption = Annotated[
    str | None,
    typer.Option("--sample", "-s", help=f"A shipped network: {', '.join(samples.names())}."),
]
KindOption = Annotated[
    str | None, typer.Option(help="The kind meant, for a code that several kinds of device share.")
]
StateOption = Annotated[
    Literal["current", "normal"], typer.Option(help="As switched now, or as the switches normally stand.")
]
LimitOption = Annotated[int, typer.Option(min=0, help="Rows to show; --json gives all.")]


def _network(sample: str | None, database: str | None) -> Topology:
    if sample is not None:
        return samples.load(sample)
    with opened(database) as db:
        return Topology.from_postgres(db)


@commands.command()
def info(
    *,
    sample: SampleOption = None,
    limit: LimitOption = 20,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say how large a network is, and what its feeders carry."""
    facts = _facts(_network(sample, database))
    if as_json:
        emit_json(facts)
        return
    out = screen()
    out.print(table(["what", "#count"], list(facts["counts"].items())))
    rows = [(row["feeder"], row["meters"], row["customers"]) for row in facts["feeders"]]
    out.print(f"\n[bold]Feeders[/bold]{_of(limit, len(rows))}")
    out.print(table(["feeder", "#meters", "#customers"], rows[:limit]))


def _facts(net: Topology) -> dict[str, Any]:
    kinds = Counter(net.columns.device_kind.tolist())
    counts = {f"{kind.replace('_', ' ')}s": count for kind, count in sorted(kinds.items())}
    counts["switches"] = len(net.switches)
    counts["switches open"] = sum(net.is_open(code) for code in net.switches)
    counts["meters"] = len(net.meters)
    counts["meters with supply"] = len(net.energised)
    counts["customers"] = net.meters.customers
    below = {code: net.downstream(code, kind="feeder") for code in net.codes("feeder")}
    feeders = [
        {"feeder": code, "meters": len(meters), "customers": meters.customers}
        for code, meters in sorted(below.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
    return {"topology_version": net.topology_version, "counts": counts, "feeders": feeders}


@commands.command()
def downstream(
    code: Annotated[str, typer.Argument(help="A device, switch or meter.")],
    *,
    kind: KindOption = None,
    state: StateOption = "current",
    limit: LimitOption = 20,
    sample: SampleOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the meters that a device supplies."""
    below = _network(sample, database).downstream(code, kind=kind, state=state)
    if as_json:
        emit_json(
            {
                "code": code,
                "state": state,
                "count": len(below),
                "customers": below.customers,
                "meters": list(below),
            }
        )
        return
    out = screen()
    out.print(f"[bold]{len(below):,}[/bold] meters, {below.customers:,} customers below {escape(code)}")
    columns = below.to_columns()
    names = ["meter_number", "customer_id", "feeder", "distribution_point"]
    rows = list(zip(*(columns[name][:limit].tolist() for name in names), strict=True))
    out.print(table(["meter", "customer", "feeder", "distribution point"], rows))
    if len(below) > limit:
        out.print(f"[dim]... {len(below) - limit:,} more; --limit or --json shows them[/dim]")


@commands.command()
def impact(
    codes: Annotated[list[str], typer.Argument(help="Devices, switches or meters that fail together.")],
    *,
    kind: KindOption = None,
    state: StateOption = "current",
    limit: LimitOption = 10,
    sample: SampleOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say who loses supply when devices fail, and who is held up by another supply."""
    found = _network(sample, database).impact(codes, kind=kind, state=state)
    if as_json:
        emit_json(_impact_facts(found))
        return
    out = screen()
    out.print(
        f"If {escape(', '.join(map(str, found.devices)))} fails:"
        f" [bold red]{len(found.lost):,} meters lose supply[/bold red] ({found.customers:,} customers,"
        f" {len(found.critical):,} critical meters), {len(found.backed_up):,} of {len(found.total):,}"
        " are held up by another supply."
    )
    for title, counts in (
        ("feeder", found.by_feeder),
        ("distribution point", found.by_distribution_point),
    ):
        out.print(f"\n[bold]By {title}[/bold]{_of(limit, len(counts))}")
        out.print(table([title, "#meters lost"], list(counts.items())[:limit]))


def _impact_facts(found: Impact) -> dict[str, Any]:
    return {
        "devices": [{"kind": device.kind.value, "code": device.code} for device in found.devices],
        "total": len(found.total),
        "lost": len(found.lost),
        "backed_up": len(found.backed_up),
        "customers": found.customers,
        "critical": len(found.critical),
        "by_feeder": found.by_feeder,
        "by_distribution_point": found.by_distribution_point,
        "lost_meters": list(found.lost),
    }


@commands.command()
def validate(
    *, sample: SampleOption = None, database: DatabaseOption = None, as_json: JsonOption = False
) -> None:
    """Check a network: loops, orphans, what hangs in the air; 1 if anything is found."""
    findings = _network(sample, database).validate()
    if as_json:
        emit_json({"findings": findings})
    elif not findings:
        screen().print("Nothing to find fault with.")
    else:
        out = screen()
        for finding in findings:
            out.print(escape(str(finding)))
    if findings:
        raise typer.Exit(FINDINGS)


def _of(limit: int, total: int) -> str:
    return f" [dim](the first {limit:,} of {total:,})[/dim]" if total > limit else ""
