"""What came of a migration: totals, links, coverage, and the list of what wants a look."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sqlalchemy import text

from oms_topology.geo.candidates import nearest_candidates
from oms_topology.geo.geodesy import geodesic_m
from oms_topology.migration.queries import query
from oms_topology.migration.report import (
    Candidate,
    LinkStatistics,
    MigrationTotals,
    SubstationCoverage,
    WorkItem,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from sqlalchemy import Connection, Row

    from oms_topology.migration.work import StepWork

__all__ = ["MigrationResult", "find_troubles", "read_result"]

_MOST_WORK = 500
_MOST_CANDIDATES = 3
_CANDIDATES_WITHIN_M = 50_000.0
_COLUMNS = {
    "substation": "with_substation",
    "feeder": "with_feeder",
    "distribution_point": "with_distribution_point",
    "customer": "with_customer",
}
_FAR = (
    "link_beyond_limit | Meters farther from their substation than any link by place would reach, linked so"
    " before or by hand. | Look whether the position or the link is wrong."
)


class MigrationResult(NamedTuple):
    """What the registry is like afterwards; see `MigrationReport`."""

    totals: MigrationTotals
    links: tuple[LinkStatistics, ...]
    coverage: tuple[SubstationCoverage, ...]
    work_list: tuple[WorkItem, ...]
    work_count: int


def find_troubles(work: StepWork) -> None:
    """Take down what a look over the whole registry finds."""
    for row in work.connection.exec_driver_sql(query("10_validation", "findings")):
        work.find(f"{row.rule} | {row.message} | {row.remedy}", row.ids, row.row_count)
    rows = work.connection.exec_driver_sql(query("10_validation", "far")).all()
    if rows:
        numbers, *degrees = zip(*rows, strict=True)
        far = (
            geodesic_m(*(np.array(column, dtype=np.float64) for column in degrees)) > work.limits.substation_m
        )
        found = [numbers[row] for row in np.flatnonzero(far)]
        work.find(_FAR, found, len(found))
    for name, count in _totals(work.connection).items():
        work.add(name, count)


def read_result(connection: Connection) -> MigrationResult:
    """Read what the registry is like; one pass over meters and links for each part.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        In a transaction.
    """
    totals = MigrationTotals(**_totals(connection))
    coverage = connection.exec_driver_sql(query("10_validation", "coverage"))
    return MigrationResult(
        totals,
        _link_statistics(connection, totals),
        tuple(SubstationCoverage(**row) for row in coverage.mappings()),
        _work_list(connection),
        connection.exec_driver_sql(query("10_validation", "work_counts")).scalar_one(),
    )


def _totals(connection: Connection) -> dict[str, int]:
    counted = connection.exec_driver_sql(query("10_validation", "totals")).mappings().one()
    names = connection.exec_driver_sql(query("10_validation", "names")).mappings().one()
    return {**counted, **names}


def _link_statistics(connection: Connection, totals: MigrationTotals) -> tuple[LinkStatistics, ...]:
    rows: defaultdict[str, list[Row[Any]]] = defaultdict(list)
    for row in connection.exec_driver_sql(query("10_validation", "link_counts")):
        rows[row.target_kind].append(row)
    return tuple(_statistics(kind, rows[kind], totals.active_meters) for kind in _COLUMNS)


def _statistics(kind: str, rows: Sequence[Row[Any]], active_meters: int) -> LinkStatistics:
    by_status, by_rule, by_tenth = Counter[str](), Counter[str](), Counter[str]()
    for row in rows:
        by_status[row.status] += row.meters
        if row.rule is not None:
            by_rule[row.rule] += row.meters
        if row.tenth is not None:
            by_tenth[f"{row.tenth / 10:.1f}"] += row.meters
    explicit = active_meters - by_status.total()
    return LinkStatistics(
        kind, {"explicit": explicit, **by_status}, dict(by_rule), dict(sorted(by_tenth.items()))
    )


def _work_list(connection: Connection) -> tuple[WorkItem, ...]:
    rows = connection.execute(text(query("10_validation", "work_list")), {"most": _MOST_WORK}).all()
    by_kind: defaultdict[str, list[Row[Any]]] = defaultdict(list)
    for row in rows:
        by_kind[row.target_kind].append(row)
    return tuple(item for kind, some in by_kind.items() for item in _items(connection, kind, some))


def _items(connection: Connection, kind: str, rows: Sequence[Row[Any]]) -> list[WorkItem]:
    devices = connection.execute(text(query("10_validation", "devices")), {"kind": kind}).all()
    found = nearest_candidates(
        _positions(rows),
        _positions(devices),
        _MOST_CANDIDATES,
        _CANDIDATES_WITHIN_M,
    )
    return [
        WorkItem(
            row.meter_number,
            kind,
            row.status,
            row.rule,
            row.longitude,
            row.latitude,
            row.confidence,
            _candidates(row.code, devices, target, distance_m),
        )
        for row, target, distance_m in zip(rows, found.target, found.distance_m, strict=True)
    ]


def _candidates(
    linked: str | None, devices: Sequence[Row[Any]], target: NDArray[np.intp], distance_m: NDArray[np.float64]
) -> tuple[Candidate, ...]:
    near = [
        Candidate(
            devices[at].code,
            devices[at].name,
            devices[at].longitude,
            devices[at].latitude,
            round(float(m), 1),
        )
        for at, m in zip(target, distance_m, strict=True)
        if at >= 0
    ]
    return tuple(sorted(near, key=lambda candidate: candidate.code != linked))


def _positions(rows: Sequence[Row[Any]]) -> NDArray[np.float64]:
    at = [(row.longitude, row.latitude) if row.latitude is not None else (None, None) for row in rows]
    return np.array(at, dtype=np.float64).reshape(-1, 2)
