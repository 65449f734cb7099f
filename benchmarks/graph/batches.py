"""Ten thousand questions at once, and questions about every device or meter of the network."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from benchmarks.graph.measuring import agree, asked_each, fresh, timed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.graph.case import Case

__all__ = ["measure"]

_QUESTIONS = 10_000
_KINDS = 3


def measure(case: Case) -> None:
    """Measure one network."""
    case.report.begin("10,000 mixed questions in a batch", case.meters)
    _mixed(case)
    case.report.begin("About every device or meter at once", case.meters)
    _dark(case)
    _labels(case)


def _asked(case: Case, seed: int) -> list[str]:
    """Draw devices of every level: 200 substations, 1,800 feeders, 8,000 distribution points, mixed."""
    random = np.random.default_rng(seed)
    shares = {"substation": 200, "feeder": 1_800, "distribution_point": _QUESTIONS - 2_000}
    drawn = [code for kind, count in shares.items() for code in case.codes(kind, count, seed)]
    return [drawn[at] for at in random.permutation(len(drawn)).tolist()]


def _mixed(case: Case) -> None:
    report, net, meters = case.report, case.net, case.meters
    asked = [_asked(case, seed) for seed in range(case.rounds + 1)]
    rows = [net.rows(codes) for codes in asked]
    statuses = np.random.default_rng(5).integers(0, _KINDS, len(case.columns.meter_number)).astype(np.int8)
    _check(case, asked[0], rows[0], statuses)

    def histograms(each: NDArray[np.int32]) -> None:
        net.histograms_below(each, statuses, kinds=_KINDS)

    def loop(codes: list[str]) -> list[int]:
        return [len(net.downstream(code)) for code in codes]

    report.time("rows of the codes", meters, asked_each(net.rows, [[fresh(each)] for each in asked]), "ms")
    batches = [[each] for each in rows]
    report.time("counts, from rows", meters, asked_each(net.count_below, batches), "ms", goal="0.1 ms")
    report.time("id lists, from rows", meters, asked_each(net.meters_below, batches), "ms", goal="10 ms")
    report.time("histograms, from rows", meters, asked_each(histograms, batches), "ms", goal="2 ms")
    codes = [[fresh(each)] for each in asked]
    report.time("counts, from codes", meters, asked_each(net.count_below, codes), "ms")
    report.time("counts, one by one", meters, asked_each(loop, codes), "ms")
    _peer(case)


def _check(case: Case, asked: list[str], rows: NDArray[np.int32], statuses: NDArray[np.int8]) -> None:
    """Hold the batch against the single questions, and some of those against igraph."""
    net, devices = case.net, case.tree.devices
    counts, (offsets, listed) = net.count_below(asked), net.meters_below(rows)
    histograms = net.histograms_below(rows, statuses, kinds=_KINDS)
    agree("counts from rows and from codes", counts, net.count_below(rows))
    agree("counts and lists", np.diff(offsets), counts)
    agree("histograms and counts", histograms.sum(axis=1), counts)
    for at in range(0, len(asked), len(asked) // 50):
        found = np.array(case.peers.igraph.subcomponent(int(rows[at]), mode="out"))
        below = np.sort(found[found >= devices]) - devices
        agree(f"list below {asked[at]}", np.sort(listed[offsets[at] : offsets[at + 1]]), below)
        agree(f"histogram of {asked[at]}", histograms[at], np.bincount(statuses[below], minlength=_KINDS))


def _peer(case: Case) -> None:
    """Ask igraph in a loop, of few devices, and take it times as many."""
    graph, devices = case.peers.igraph, case.tree.devices
    share = 50
    asked = [case.net.rows(_asked(case, seed)[: _QUESTIONS // share]).tolist() for seed in range(3)]

    def loop(nodes: list[int]) -> list[int]:
        return [sum(below >= devices for below in graph.subcomponent(node, mode="out")) for node in nodes]

    timing = asked_each(loop, [[nodes] for nodes in asked]).divided(1 / share)
    case.report.time("counts, one by one", case.meters, timing, "ms", who="igraph, by 200 of them")


def _dark(case: Case) -> None:
    net = case.net
    flags = np.random.default_rng(6).random(len(case.columns.meter_number)) < 0.3
    agree("dark meters under every device", net.dark_below(flags), _climbed(case, flags))
    timing = timed(lambda: net.dark_below(flags), case.rounds)
    goals = {1_000_000: "5 ms", 10_000_000: "150 ms"}
    case.report.time(
        "dark count under every device", case.meters, timing, "ms", goal=goals.get(case.meters, "")
    )
    timing = timed(lambda: _climbed(case, flags), case.few)
    case.report.time("dark count under every device", case.meters, timing, "ms", who="numpy, level by level")


def _climbed(case: Case, flags: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Add one for every dark meter to each device above it, all meters climbing at once."""
    parent, devices = case.tree.parent, case.tree.devices
    counts = np.zeros(devices, dtype=np.int32)
    at = parent[devices:][flags]
    while len(at := at[at >= 0]):
        counts += np.bincount(at, minlength=devices).astype(np.int32)
        at = parent[at]
    return counts


def _labels(case: Case) -> None:
    net, report = case.net, case.report
    feeds = net.normally_fed_by("feeder").devices
    agree("feeder of every meter", feeds, case.tree.parent[case.columns.meter_device])
    for who, find in {"scipy": _by_scipy, "igraph": _by_igraph}.items():
        agree(f"feeder of every meter by {who}", feeds, find(case))
        timing = timed(partial(find, case), case.few_of_peers, warm=False)
        report.time("feeder of every meter", case.meters, timing, "ms", who=who)
    timing = timed(lambda: net.normally_fed_by("feeder").devices, case.rounds)
    report.time(
        "feeder of every meter", case.meters, timing, "ms", goal="20 ms" if case.meters == 1_000_000 else ""
    )
    report.time(
        "feeder of every meter, as codes",
        case.meters,
        timed(lambda: net.normally_fed_by("feeder").codes, case.few),
        "ms",
    )


def _kept_edges(case: Case) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    start, end = case.tree.edges
    kept = ~case.columns.device_is_source[start]
    return start[kept], end[kept]


def _by_scipy(case: Case) -> NDArray[np.int32]:
    """Take the substations away and name each piece that is left by its feeder."""
    nodes = case.tree.nodes
    ends = _kept_edges(case)
    _, piece = connected_components(
        csr_array((np.ones(len(ends[0]), np.int8), ends), shape=(nodes, nodes)), directed=False
    )
    return _named(case, piece)


def _by_igraph(case: Case) -> NDArray[np.int32]:
    """Do the same in a graph made of what is left."""
    import igraph

    edges: Any = np.stack(_kept_edges(case), axis=1).astype(np.int64)
    graph = igraph.Graph(n=case.tree.nodes, edges=memoryview(edges))
    return _named(case, np.array(graph.connected_components(mode="weak").membership))


def _named(case: Case, piece: NDArray[Any]) -> NDArray[np.int32]:
    feeders = case.tree.rows("feeder")
    feeder_of = np.full(int(piece.max()) + 1, -1, dtype=np.int32)
    feeder_of[piece[feeders]] = feeders
    found: NDArray[np.int32] = feeder_of[piece[case.tree.devices :]]
    return found
