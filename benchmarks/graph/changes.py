"""Changes in place: move a meter, open and close a switch, feed a subtree from elsewhere; and then ask."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np

from benchmarks.graph.measuring import Timing, agree, now, timed
from oms_topology import Topology

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from benchmarks.graph.case import Case

__all__ = ["measure"]

_BATCH = 1_000
_BATCH_OF_PEERS = 20

Change = tuple[str, str]
"""What is moved, and where to."""


def measure(case: Case) -> None:
    """Measure one network whose feeders have breakers; its meters and devices move about."""
    case.report.begin("Changes in place", case.meters)
    net = Topology.from_columns(case.columns)
    followed = Followed(case)
    _meters(case, net, followed)
    _switches(case, net)
    _subtrees(case, net, followed)
    followed.check(net)
    _peers(case)
    timing = timed(lambda: Topology.from_columns(case.columns), 1, warm=False)
    case.report.time("instead: the whole network anew", case.meters, timing, "ms")


class Followed:
    """Where everything hangs after the changes, kept in plain arrays beside the engine."""

    def __init__(self, case: Case) -> None:
        self.columns, self.tree = case.columns, case.tree
        self.parent = case.tree.parent.copy()
        self._row = {str(code): row for row, code in enumerate(case.columns.device_code.tolist())}

    def move(self, nodes: NDArray[np.int64], targets: Sequence[str]) -> None:
        """Note that nodes hang on other devices now; of several moves of one node the last counts."""
        for node, target in zip(nodes.tolist(), targets, strict=True):
            self.parent[node] = self._row[target]

    def check(self, net: Topology) -> None:
        """Compare the meters below every substation and feeder with the engine's."""
        devices = self.tree.devices
        counts = np.zeros(devices, dtype=np.int64)
        at = self.parent[devices:]
        while len(at := at[at >= 0]):
            counts += np.bincount(at, minlength=devices)
            at = self.parent[at]
        for kind in ("substation", "feeder"):
            rows = self.tree.rows(kind)
            codes = [str(code) for code in self.columns.device_code[rows].tolist()]
            agree(
                f"meters below every {kind} after the changes",
                net.count_below(codes).astype(np.int64),
                counts[rows],
            )


def _timed_changes(
    apply: Callable[[str, str], Any],
    rounds: Sequence[Sequence[Change]],
    ask: Callable[[str], Any] | None = None,
) -> Timing:
    """Time one change, followed by a question about where it went or not; the first round is not counted."""
    taken = []
    for changes in rounds:
        gc.collect()
        gc.disable()
        begin = now()
        if ask is None:
            for what, target in changes:
                apply(what, target)
        else:
            for what, target in changes:
                apply(what, target)
                ask(target)
        taken.append((now() - begin) / len(changes))
        gc.enable()
    return Timing.of(taken[1:])


def _meters(case: Case, net: Topology, followed: Followed) -> None:
    random, columns = np.random.default_rng(21), case.columns
    points, station = case.tree.rows("distribution_point"), case.stations
    by_station = points[np.argsort(case.tree.above(points, "substation"), kind="stable")].reshape(-1, 100)
    rank = np.searchsorted(np.unique(station), station)

    def moves(anywhere: bool) -> list[list[Change]]:
        made = []
        for _ in range(case.rounds + 1):
            meters = random.integers(0, len(columns.meter_number), _BATCH)
            near = by_station[rank[meters], random.integers(0, 100, _BATCH)]
            targets = points[random.integers(0, len(points), _BATCH)] if anywhere else near
            codes = [str(code) for code in columns.device_code[targets].tolist()]
            followed.move(meters + case.tree.devices, codes)
            made.append(list(zip(map(str, columns.meter_number[meters].tolist()), codes, strict=True)))
        return made

    ask = net.downstream
    for name, anywhere in (("anywhere", True), ("within its substation", False)):
        report = case.report
        report.time(
            f"move a meter {name}",
            case.meters,
            _timed_changes(net.move_meter, moves(anywhere)),
            "us",
            goal="5 us",
        )
        timing = _timed_changes(net.move_meter, moves(anywhere), ask)
        report.time(f"move a meter {name}, then a view", case.meters, timing, "us")
        # Those moved within their substation come second: by then some hang in another one.


def _switches(case: Case, net: Topology) -> None:
    random = np.random.default_rng(22)
    feeders = case.columns.device_code[case.tree.rows("feeder")]
    lost = net.downstream(str(feeders[0])).meter_numbers
    before = len(net.energised)
    net.open(f"CB{feeders[0][2:]}")
    agree("supplied meters after opening", len(net.energised), before - len(lost))
    net.close(f"CB{feeders[0][2:]}")
    agree("supplied meters after closing", len(net.energised), before)

    def toggled() -> list[list[Change]]:
        rounds = []
        for _ in range(case.rounds + 1):
            drawn = feeders[random.integers(0, len(feeders), _BATCH // 2)].tolist()
            rounds.append([(way, f"CB{code[2:]}") for code in drawn for way in ("open", "close")])
        return rounds

    ways = {"open": net.open, "close": net.close}

    def apply(way: str, switch: str) -> None:
        ways[way](switch)

    timing = _timed_changes(apply, toggled())
    case.report.time("open or close a switch, 100 meters", case.meters, timing, "us", goal="5 us")
    timing = _timed_changes(apply, toggled(), net.downstream)
    case.report.time("open or close a switch, 100 meters, then a view", case.meters, timing, "us")


def _subtrees(case: Case, net: Topology, followed: Followed) -> None:
    random, code = np.random.default_rng(23), case.columns.device_code
    for kind, above, meters in (("distribution_point", "feeder", 10), ("feeder", "substation", 100)):
        rows, parents = case.tree.rows(kind), case.tree.rows(above)
        if len(parents) == 1:
            continue  # there is no elsewhere

        def moves(rows: Any = rows, parents: Any = parents) -> list[list[Change]]:
            made = []
            for _ in range(case.rounds + 1):
                nodes = rows[random.integers(0, len(rows), _BATCH)]
                targets = [
                    str(each) for each in code[parents[random.integers(0, len(parents), _BATCH)]].tolist()
                ]
                followed.move(nodes, targets)
                made.append(list(zip(map(str, code[nodes].tolist()), targets, strict=True)))
            return made

        name = f"feed a {kind.replace('_', ' ')} ({meters} meters) from elsewhere"
        case.report.time(name, case.meters, _timed_changes(net.refeed, moves()), "us", goal="30 us")
        timing = _timed_changes(net.refeed, moves(), net.downstream)
        case.report.time(f"{name}, then a view", case.meters, timing, "us")


def _peers(case: Case) -> None:
    """Move meters in the libraries that can take an edge out, and ask for what is below the substation."""
    if "networkx" in case.peers.names:
        graph = case.peers.networkx.copy()

        def rehang(meter: int, target: int) -> None:
            graph.remove_edge(next(iter(graph.pred[meter])), meter)
            graph.add_edge(target, meter)

        _peer_moves(case, "networkx", rehang, lambda node: nx.descendants(graph, node))
    native = case.peers.igraph.copy()

    def rewire(meter: int, target: int) -> None:
        native.delete_edges(native.incident(meter, mode="in"))
        native.add_edges([(target, meter)])

    _peer_moves(case, "igraph", rewire, lambda node: native.subcomponent(node, mode="out"))


def _peer_moves(case: Case, who: str, apply: Callable[[int, int], Any], ask: Callable[[int], Any]) -> None:
    random = np.random.default_rng(24)
    points, devices = case.tree.rows("distribution_point"), case.tree.devices
    stations = case.tree.above(points, "substation")
    station_of = dict(zip(points.tolist(), stations.tolist(), strict=True))
    # igraph sorts all edges again whenever one goes or comes.
    batch = _BATCH_OF_PEERS if case.meters <= 100_000 or who == "networkx" else 1

    def moves() -> list[list[tuple[int, int]]]:
        return [
            list(
                zip(
                    (devices + random.integers(0, len(case.columns.meter_number), batch)).tolist(),
                    points[random.integers(0, len(points), batch)].tolist(),
                    strict=True,
                )
            )
            for _ in range(case.few_of_peers + 1)
        ]

    report, name = case.report, "move a meter anywhere"
    report.time(name, case.meters, _timed_changes(apply, moves()), "us", who=who)  # type: ignore[arg-type]
    timing = _timed_changes(apply, moves(), lambda point: ask(station_of[point]))  # type: ignore[arg-type]
    report.time(f"{name}, then a view", case.meters, timing, "us", who=f"{who}, below the substation")
