"""``oms-topology migrate``: four providers' registries become one; shown, run, resumed, run again."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path  # noqa: TC003
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from oms_topology.cli.common import (
    FINDINGS,
    DatabaseOption,
    JsonOption,
    emit_json,
    opened,
    screen,
    table,
)
from oms_topology.migration.plan import STEPS, LinkLimits, MigrationPlan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from oms_topology.migration.plan import MigrationStep
    from oms_topology.migration.report import MigrationReport
    from oms_topology.persistence.database import Database

__all__ = ["migrate"]

_MOST_SHOWN: Final = 15
_DEFAULTS: Final = LinkLimits()


def migrate(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Do all of it, say what would be done, roll it back.")
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Show the ten steps, and do nothing.")] = False,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE.html", help="Write the report as a page with a map."),
    ] = None,
    undo_merge_no: Annotated[
        int | None,
        typer.Option("--undo-merge", metavar="NUMBER", help="Take one merge of two meters back, for good."),
    ] = None,
    substation_m: Annotated[
        float, typer.Option(help="Limit of links by place, in metres.")
    ] = _DEFAULTS.substation_m,
    feeder_m: Annotated[float, typer.Option(help="Limit within the substation.")] = _DEFAULTS.feeder_m,
    dp_m: Annotated[
        float, typer.Option("--distribution-point-m", help="Limit where no building says it.")
    ] = _DEFAULTS.distribution_point_m,
    customer_m: Annotated[float, typer.Option(help="Limit where neither phone nor building says it.")] = (
        _DEFAULTS.customer_m
    ),
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Let the workers of this Dask scheduler link; same answer."),
    ] = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make one registry of the ONU, KAIFA and call-center tables; 0 if over 90 % of it came out, else 1.

    Ten steps, each a transaction of its own: a run that was broken off is taken up where it stopped, and a
    second run changes no row.
    """
    limits = LinkLimits(
        substation_m=substation_m, feeder_m=feeder_m, distribution_point_m=dp_m, customer_m=customer_m
    )
    if plan:
        _show_plan(MigrationPlan(limits=limits), as_json=as_json)
        return
    with opened(database) as db:
        if undo_merge_no is not None:
            _undo(db, undo_merge_no, as_json=as_json)
            return
        with _progress(as_json=as_json) as tell:
            # Limits that nobody asked for do not part this run from one that was broken off.
            asked = None if limits == _DEFAULTS else limits
            result = db.migrate_legacy(dry_run=dry_run, limits=asked, progress=tell, scheduler=scheduler)
    if report is not None:
        _write_page(report, result)
    if as_json:
        emit_json(result.to_dict())
    else:
        _show(result)
    if not result.is_success:
        raise typer.Exit(FINDINGS)


def _show_plan(plan: MigrationPlan, *, as_json: bool) -> None:
    if as_json:
        emit_json(plan.to_dict())
        return
    rows = [(step.number, step.title, step.purpose) for step in plan.steps]
    screen().print(table(["#", "step", "what it does"], rows))


def _undo(db: Database, merge_no: int, *, as_json: bool) -> None:
    from oms_topology.migration.runner import undo_merge

    number = undo_merge(db.engine, merge_no)
    if as_json:
        emit_json({"merge_no": merge_no, "meter_number": number})
    else:
        screen().print(f"Meter {escape(number)} stands by itself again, and is not merged any more.")


def _write_page(target: Path, result: MigrationReport) -> None:
    from oms_topology.viz.migration_report import migration_report_html

    target.write_text(migration_report_html(result), encoding="utf-8")


@contextmanager
def _progress(*, as_json: bool) -> Iterator[Callable[[MigrationStep, float], None]]:
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=as_json or not Console(stderr=True).is_terminal,
        transient=True,
    )
    with bar:
        task = bar.add_task("migrating", total=len(STEPS))

        def tell(step: MigrationStep, share: float) -> None:
            bar.update(task, description=step.title, completed=step.number - 1 + share)

        yield tell


def _show(result: MigrationReport) -> None:
    out = screen()
    out.print(
        "[bold]Nothing was changed; this is what a run would do[/bold]"
        if result.dry_run
        else "[bold]Migrated[/bold]"
    )
    for step in result.steps:
        told = ", ".join(f"{name} {count:,}" for name, count in step.counts.items() if count)
        resumed = " (done before)" if step.was_resumed else ""
        out.print(f"{step.number:2}  {step.title}{resumed}: {told or 'nothing to do'}")
    totals = result.totals
    rows = [
        ("active meters", totals.active_meters, ""),
        ("of the ONU service", totals.from_onu, ""),
        ("of KAIFA", totals.from_kaifa, ""),
        ("named by callers", totals.from_call_center, ""),
        ("linked to a substation", totals.with_substation, f"{totals.substation_rate:.1%}"),
        ("linked to a feeder", totals.with_feeder, ""),
        ("linked to a distribution point", totals.with_distribution_point, ""),
        ("linked to a customer", totals.with_customer, f"{totals.customer_rate:.1%}"),
        ("names that became meters", totals.migrated_names, f"{totals.migrated_rate:.1%}"),
    ]
    out.print(table(["", "#", ""], rows))
    _show_coverage(result)
    if result.findings:
        out.print("\nWants a look:")
        for finding in result.findings:
            out.print(f"  {escape(str(finding))}")
    verdict = "[green]success[/green]" if result.is_success else "[yellow]doubtful[/yellow]"
    out.print(
        f"\n{verdict}; {result.work_count:,} links to look at; --report FILE.html writes them with a map"
    )


def _show_coverage(result: MigrationReport) -> None:
    rows = [
        (one.substation_id, one.name, one.feeders, one.meters, one.customers, one.by_place, one.doubtful)
        for one in result.coverage[:_MOST_SHOWN]
    ]
    headings = ["substation", "name", "#feeders", "#meters", "#customers", "#by place", "#doubtful"]
    if rows:
        screen().print(table(headings, rows, title=f"Of {len(result.coverage):,} substations:"))
