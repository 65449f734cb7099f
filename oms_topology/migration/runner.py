"""Runs the ten steps: each in a transaction of its own that also says that it is done."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from sqlalchemy import text

from oms_topology.errors import ConflictError, TopologyError
from oms_topology.geo.linking import link_nearest
from oms_topology.migration.plan import STEPS, LinkLimits, MigrationPlan
from oms_topology.migration.report import MigrationReport, StepOutcome
from oms_topology.migration.steps import run_step
from oms_topology.migration.validation import read_result
from oms_topology.migration.work import StepWork
from oms_topology.model import Finding, FindingSeverity
from oms_topology.persistence.database import translated_errors
from oms_topology.persistence.schema import require_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Engine

    from oms_topology.geo.linking import Links
    from oms_topology.migration.plan import MigrationStep

__all__ = ["migrate", "undo_merge"]


_ADVISORY_LOCK: Final = 7_305_004_472
_ATTEMPTS: Final = 5
# Steps work by sets: a planner that has never looked at a table of a million rows would look up each of them.
_SESSION = """
    SET LOCAL search_path = pg_catalog, public, pg_temp; SET LOCAL timezone = 'UTC';
    SET LOCAL statement_timeout = 0;
    SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL work_mem = '192MB'; SET LOCAL jit = off;
    SET LOCAL maintenance_work_mem = '256MB'; SET LOCAL client_min_messages = warning;
    SET LOCAL enable_nestloop = off;
    SET LOCAL oms_topology.keeps_mappings = 'on';
"""
_UNFINISHED = (
    "SELECT run_no, limits, started_at FROM oms_topology.migration_run"
    " WHERE finished_at IS NULL ORDER BY run_no DESC LIMIT 1"
)
_BEGIN = (
    "INSERT INTO oms_topology.migration_run (limits) VALUES (CAST(:limits AS jsonb))"
    " RETURNING run_no, limits, started_at"
)
_DONE = "SELECT step_no, outcome FROM oms_topology.migration_step WHERE run_no = :run_no"
_NOTE = (
    "INSERT INTO oms_topology.migration_step (run_no, step_no, outcome)"
    " VALUES (:run_no, :step_no, CAST(:outcome AS jsonb))"
)
_ALIGN_MERGED = (
    "SELECT oms_topology.align_supplies(ARRAY(SELECT m.id FROM oms_topology.meter_merge g"
    " JOIN public.oms_meters m ON m.meter_no IN (g.survivor_no, g.merged_no) WHERE g.merge_no = :no))"
)
_FINISH = (
    "UPDATE oms_topology.migration_run SET finished_at = clock_timestamp(), report = CAST(:report AS jsonb)"
    " WHERE run_no = :run_no"
)


def migrate(
    engine: Engine,
    *,
    dry_run: bool = False,
    limits: LinkLimits | None = None,
    progress: Callable[[MigrationStep, float], None] | None = None,
    linker: Callable[..., Links] = link_nearest,
) -> MigrationReport:
    """Make one registry of the four providers' tables, in ten steps.

    Every step is a transaction that also notes that it is done: a run that was broken off, however that was,
    is taken up where it stopped by the next call. A second run changes no row. What a step finds wrong stops
    nothing, and is in the report.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        A database with the schema of this version.
    dry_run : bool
        Do all of it in one transaction, report, and roll it back.
    limits : LinkLimits, optional
        How far links by place may reach; those of the run that was broken off, else the defaults.
    progress : callable, optional
        Called with a step and the share of it that is done, from 0.0 to 1.0.
    linker : callable
        Links by place; anything that answers as `link_nearest` does, such as the workers of a scheduler.

    Returns
    -------
    MigrationReport
        The same for a dry run as for the run, but for the times and what somebody else wrote meanwhile.

    Raises
    ------
    SchemaVersionError
        The database is to be upgraded first.
    ConflictError
        Another migration is running, or live writers were in the way five times over; try again.
    StoreUnavailableError
        The database went away; the next call goes on.

    Notes
    -----
    Needs the rights of the owner. About a minute of CPU time per 100,000 meters that are new. A dry run holds
    its locks until it ends: services that write the same meters wait. A step that writes more than a fifth of
    the registry, as those of a first run do, lets nobody else at it until the step ends.
    """
    require_version(engine)
    tell = progress or (lambda _step, _share: None)
    with translated_errors(), _alone(engine) as connection:
        run = _dry_run if dry_run else _run
        return run(connection, limits, linker, tell)


def undo_merge(engine: Engine, merge_no: int) -> str:
    """Take back that two rows of the registry were found to be one meter; they are kept apart from then on.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        A migrated database.
    merge_no : int
        ``merge_no`` of ``oms_topology.meter_merge``.

    Returns
    -------
    str
        The number of the meter that stands again.

    Raises
    ------
    TopologyError
        There is no such merge, or it is undone already.
    """
    with translated_errors(), engine.begin() as connection:
        connection.exec_driver_sql(_SESSION)
        number = connection.execute(
            text("SELECT oms_topology.undo_merge(:no)"), {"no": merge_no}
        ).scalar_one()
        if number is None:
            raise TopologyError(
                f"There is no merge {merge_no} that could be undone; see oms_topology.meter_merge."
            )
        connection.execute(text(_ALIGN_MERGED), {"no": merge_no})
        connection.exec_driver_sql("SELECT oms_topology.settle()")
    return str(number)


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        lock = {"key": _ADVISORY_LOCK}
        with connection.begin():
            if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), lock).scalar_one():
                raise ConflictError(
                    "Another migration of this database is running; try again when it has ended."
                )
        try:
            yield connection
        finally:
            # A connection that is gone has given its lock back.
            if not connection.invalidated and not connection.closed:
                connection.rollback()
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), lock)
                connection.commit()


def _dry_run(
    connection: Connection,
    limits: LinkLimits | None,
    linker: Callable[..., Links],
    tell: Callable[[MigrationStep, float], None],
) -> MigrationReport:
    started_at = datetime.now(UTC)
    plan = MigrationPlan(limits=limits or LinkLimits())
    with connection.begin() as transaction:
        connection.exec_driver_sql(_SESSION)
        outcomes = [_do(StepWork(connection, plan.limits, linker), step, tell) for step in STEPS]
        report = _report(connection, plan, started_at, outcomes, dry_run=True)
        transaction.rollback()
    return report


def _run(
    connection: Connection,
    limits: LinkLimits | None,
    linker: Callable[..., Links],
    tell: Callable[[MigrationStep, float], None],
) -> MigrationReport:
    with connection.begin():
        run = connection.execute(text(_UNFINISHED)).one_or_none()
        if run is None or (limits is not None and run.limits != asdict(limits)):
            wanted = {"limits": json.dumps(asdict(limits or LinkLimits()))}
            run = connection.execute(text(_BEGIN), wanted).one()
        rows = connection.execute(text(_DONE), {"run_no": run.run_no}).all()
    done = {row.step_no: row.outcome for row in rows}
    plan = MigrationPlan(limits=LinkLimits(**run.limits))
    outcomes = []
    for step in STEPS:
        if step.number in done:
            outcomes.append(replace(outcome_of(done[step.number]), was_resumed=True))
            tell(step, 1.0)
        else:
            outcomes.append(_do_and_note(StepWork(connection, plan.limits, linker), run.run_no, step, tell))
    with connection.begin():
        connection.exec_driver_sql(_SESSION)
        report = _report(connection, plan, run.started_at, outcomes, dry_run=False)
        told = {key: value for key, value in report.to_dict().items() if key not in ("work_list", "coverage")}
        connection.execute(text(_FINISH), {"run_no": run.run_no, "report": json.dumps(told)})
    return report


def _do_and_note(
    work: StepWork, run_no: int, step: MigrationStep, tell: Callable[[MigrationStep, float], None]
) -> StepOutcome:
    connection = work.connection
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with translated_errors(), connection.begin():
                connection.exec_driver_sql(_SESSION)
                outcome = _do(StepWork(connection, work.limits, work.linker), step, tell)
                note = {"run_no": run_no, "step_no": step.number, "outcome": json.dumps(asdict(outcome))}
                connection.execute(text(_NOTE), note)
        except ConflictError:
            # Live writers lock meters in another order than a pass over all of them.
            if attempt == _ATTEMPTS:
                raise
        else:
            return outcome
    raise AssertionError  # the loop ends by return or raise


def _do(work: StepWork, step: MigrationStep, tell: Callable[[MigrationStep, float], None]) -> StepOutcome:
    tell(step, 0.0)
    run_step(step.name, work, lambda share: tell(step, share))
    work.connection.exec_driver_sql("DISCARD TEMP")  # the steps of a dry run share a transaction
    tell(step, 1.0)
    return StepOutcome(step.number, step.name, step.title, work.counts, tuple(work.findings))


def outcome_of(noted: dict[str, object]) -> StepOutcome:
    """Read an outcome as the books have it.

    Examples
    --------
    >>> outcome_of({"number": 1, "name": "a", "title": "A", "counts": {"n": 1}, "findings": []}).counts
    {'n': 1}
    """
    values: dict[str, object] = dict(noted)
    findings = values.pop("findings")
    assert isinstance(findings, list)  # noqa: S101
    read = tuple(
        Finding(**{**f, "severity": FindingSeverity(f["severity"]), "ids": tuple(f["ids"])}) for f in findings
    )
    return StepOutcome(**values, findings=read)  # type: ignore[arg-type]


def _report(
    connection: Connection,
    plan: MigrationPlan,
    started_at: datetime,
    outcomes: list[StepOutcome],
    *,
    dry_run: bool,
) -> MigrationReport:
    result = read_result(connection)
    return MigrationReport(
        dry_run=dry_run,
        plan=plan,
        started_at=started_at,
        finished_at=datetime.now(UTC),
        steps=tuple(outcomes),
        totals=result.totals,
        links=result.links,
        coverage=result.coverage,
        work_list=result.work_list,
        work_count=result.work_count,
    )
