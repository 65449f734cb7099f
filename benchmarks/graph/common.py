"""The lowest device that feeds k devices or meters, at the usual depth and 432 deep; a chain of 5,000."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np

from benchmarks.graph.measuring import agree, asked_each, timed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.graph.case import Case
    from benchmarks.graph.networks import Tree

__all__ = ["measure", "measure_chain"]

_GROUP_SIZES = (2, 10, 100)
_GROUPS = 500
_MOST_FOR_NETWORKX = 120_000


def measure(case: Case, shape: str) -> None:
    """Measure one network; ``shape`` says which."""
    report, net, tree = case.report, case.net, case.tree
    report.begin(f"Lowest common upstream, {shape}", case.meters)
    for size in _GROUP_SIZES:
        groups = [_groups(case, size, seed) for seed in range(case.rounds + 1)]
        work = f"of k = {size}, {shape}"
        for group in groups[0][:20]:
            agree(work, net.common_upstream_row(group), _by_hand(tree, group.tolist()))
        report.time(
            f"{work}, rows", case.meters, asked_each(net.common_upstream_row, groups), "us", goal="5 us"
        )
        codes = [[_numbers(case, group) for group in batch] for batch in groups]
        expected = [_code(case, net.common_upstream_row(group)) for group in groups[1]]
        agree(f"{work}, many groups", net.common_upstream_of(codes[1]), expected)
        report.time(f"{work}, meter numbers", case.meters, asked_each(net.common_upstream, codes), "us")
        hand = [[group.tolist() for group in batch[:20]] for batch in groups]
        timing = asked_each(lambda nodes: _by_hand(tree, nodes), hand)
        report.time(f"{work}, rows", case.meters, timing, "us", who="parent array by hand")
    _networkx(case, shape)


def measure_chain(case: Case) -> None:
    """Measure a chain in which every device feeds the next, one meter on each."""
    report, net, tree = case.report, case.net, case.tree
    report.begin("A chain of 5,000", case.meters)
    depth = _depths(tree)
    top, bottom = int(depth.argmin()), int(depth.argmax())
    middle = int(np.flatnonzero(depth == depth.max() // 2)[0])
    code = str(tree.columns.device_code[middle])
    agree(
        "meters below the middle",
        len(net.downstream(code)),
        int((depth[tree.columns.meter_device] >= depth[middle]).sum()),
    )
    report.time(
        "view from the middle",
        case.meters,
        asked_each(net.downstream, [[code] * 10_000] * (case.rounds + 1)),
        "us",
        goal="1 us",
    )
    lowest = str(tree.columns.device_code[bottom])
    agree("devices above the end", len(net.upstream(lowest)), int(depth.max()))
    report.time(
        "all devices above the end", case.meters, timed(lambda: net.upstream(lowest), case.rounds), "us"
    )
    ends = np.array([top, bottom], dtype=np.int32)
    agree("common feed of both ends", net.common_upstream_row(ends), top)
    report.time(
        "lowest common upstream of both ends",
        case.meters,
        asked_each(net.common_upstream_row, [[ends] * 200] * (case.rounds + 1)),
        "us",
    )


def _depths(tree: Tree) -> Any:
    depth = np.zeros(tree.devices, dtype=np.int32)
    at = tree.parent[: tree.devices].copy()
    while (climbing := at >= 0).any():
        depth[climbing] += 1
        at[climbing] = tree.parent[at[climbing]]
    return depth


def _groups(case: Case, size: int, seed: int) -> list[Any]:
    """Draw groups of devices of one substation each: one question in a city, one storm over a district."""
    random = np.random.default_rng(seed)
    own = case.columns.meter_device
    order, starts = case.meters_by_station
    sources = case.tree.rows("substation")
    groups = []
    for source in sources[random.integers(0, len(sources), _GROUPS)].tolist():
        among = order[starts[source] : starts[source + 1]]
        groups.append(own[among[random.integers(0, len(among), size)]].astype(np.int32))
    return groups


def _numbers(case: Case, group: Any) -> list[str]:
    """Name devices by a meter that hangs on each."""
    return [str(number) for number in case.columns.meter_number[case.a_meter_at[group]].tolist()]


def _code(case: Case, row: int) -> str | None:
    return None if row < 0 else str(case.columns.device_code[row])


def _by_hand(tree: Tree, nodes: Iterable[int]) -> int:
    """Climb from each and keep what is above all, as one does with a parent array."""
    parent = tree.parents
    common: list[int] | None = None
    for node in nodes:
        above = set()
        at = node
        while at >= 0:
            above.add(at)
            at = parent[at]
        if common is None:
            common, at = [], node
            while at >= 0:
                common.append(at)
                at = parent[at]
        else:
            common = [each for each in common if each in above]
    return common[0] if common else -1


def _networkx(case: Case, shape: str) -> None:
    work = f"of k = 2, {shape}, rows"
    if case.tree.nodes > _MOST_FOR_NETWORKX:
        case.report.skip(
            f"{work}, {case.meters:,} meters, networkx",
            "it lists all nodes to find one; asked of smaller ones",
        )
        return
    graph = case.peers.networkx
    pair = _groups(case, 2, 1)[0]
    agree(work, case.net.common_upstream_row(pair), nx.lowest_common_ancestor(graph, *pair.tolist()))
    timing = timed(lambda: nx.lowest_common_ancestor(graph, *pair.tolist()), case.few)
    case.report.time(work, case.meters, timing, "us", who="networkx")
