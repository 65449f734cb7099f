"""Rows of the registry that are one physical meter become one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from oms_topology.migration.queries import query

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Row

    from oms_topology.migration.work import StepWork

__all__ = ["merge_meters"]

_PREPARED = ("mrids", "typed_number")
_MERGE = "SELECT oms_topology.merge_meters(%s::integer[], %s::integer[], %s::text[], %s::text[])"
_CONFLICT = (
    "conflicting_identity | Rows that evidence would make one meter, though the ONU service or an operator"
    " keeps them apart; they stay two. | Find out which of the two names is wrong."
)


class _Edge(NamedTuple):
    first_no: int
    second_no: int
    rule: str
    evidence: str


class _Union:
    """Groups of rows that are one meter, each with what must not come together in one group."""

    def __init__(self, numbers: Mapping[int, str], apart: Iterable[tuple[int, int]]) -> None:
        self._parent: dict[int, int] = {}
        self._numbers = {no: {number} for no, number in numbers.items()}
        self._apart: dict[int, set[int]] = {}
        for one, other in apart:
            self._apart.setdefault(one, set()).add(other)
            self._apart.setdefault(other, set()).add(one)
        self.members: dict[int, list[int]] = {}

    def head(self, no: int) -> int:
        while (above := self._parent.get(no, no)) != no:
            no = above
        return no

    def join(self, one: int, other: int) -> bool:
        """Make two groups one; False where the ONU service has a meter in each, or somebody parted them."""
        head, tail = self.head(one), self.head(other)
        if head == tail:
            return True
        ours, theirs = (self.members.get(no, [no]) for no in (head, tail))
        known = [self._numbers.get(no, set()) for no in (head, tail)]
        parted = any(self._apart.get(no, set()).intersection(theirs) for no in ours)
        if parted or len(known[0] | known[1]) > 1:
            return False
        self._parent[tail] = head
        self.members[head] = [*ours, *theirs]
        self.members.pop(tail, None)
        self._numbers[head] = known[0] | known[1]
        return True


def merge_meters(work: StepWork, rules: str) -> None:
    """Merge rows of the registry that the evidence of one query of ``identity.sql`` makes one meter.

    Every merge is recorded with both rows, its rule and evidence. Two meters of the ONU service are never
    merged with one another, nor what an operator has parted; such evidence is a finding.

    Parameters
    ----------
    work : StepWork
        The step.
    rules : str
        Name of the query.
    """
    if rules in _PREPARED:
        work.connection.exec_driver_sql(query("identity", f"prepare_{rules}"))
    edges = [_Edge(*row) for row in work.connection.exec_driver_sql(query("identity", rules))]
    if not edges:
        work.add("merged", 0)
        return
    ranks = _ranks(work, edges)
    union = _Union(
        {no: row.key for no, row in ranks.items() if row.is_onu_meter},
        _kept_apart(work, ranks.values()),
    )
    accepted, parted = [], set()
    for edge in edges:
        if union.join(edge.first_no, edge.second_no):
            accepted.append(edge)
        else:
            parted.add(" = ".join(sorted(ranks[no].meter_number for no in edge[:2])))
    _merge(work, list(union.members.values()), accepted, ranks)
    work.find(_CONFLICT, sorted(parted), len(parted))


def _ranks(work: StepWork, edges: Sequence[_Edge]) -> dict[int, Row[Any]]:
    numbers = sorted({no for edge in edges for no in edge[:2]})
    found = work.connection.exec_driver_sql(query("identity", "ranks"), (numbers,))
    return {row.meter_no: row for row in found}


def _kept_apart(work: StepWork, rows: Iterable[Row[Any]]) -> list[tuple[int, int]]:
    at = {row.meter_number: row.meter_no for row in rows}
    pairs = work.connection.exec_driver_sql(query("identity", "kept_apart"))
    return [(at[one], at[other]) for one, other in pairs if one in at and other in at]


def _merge(
    work: StepWork, groups: Sequence[Sequence[int]], edges: Sequence[_Edge], ranks: Mapping[int, Row[Any]]
) -> None:
    reasons: dict[int, _Edge] = {}
    for edge in reversed(edges):
        reasons[edge.first_no] = reasons[edge.second_no] = edge
    merges = []
    for group in groups:
        survivor, *others = sorted(group, key=lambda no: _precedence(ranks[no]))
        merges += [(survivor, no, reasons[no].rule, reasons[no].evidence) for no in others]
    if merges:
        columns = [list(column) for column in zip(*merges, strict=True)]
        work.connection.exec_driver_sql(_MERGE, tuple(columns))
    work.add("merged", len(merges))


def _precedence(row: Row[Any]) -> tuple[Any, ...]:
    """Put first the row that shall stand: in use, known to the ONU service, with a customer, the oldest."""
    return (
        not row.is_active,
        not row.is_onu_meter,
        row.meter_number != row.key,
        row.is_mrid_only,
        not row.has_customer,
        row.created_at is None,
        row.created_at,
        row.meter_number,
    )
