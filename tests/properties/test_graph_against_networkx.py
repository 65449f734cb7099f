"""Random networks under random switching, moving and re-feeding: every answer equals plain NetworkX."""

from __future__ import annotations

from dataclasses import dataclass, field

import networkx as nx
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from oms_topology import Topology
from oms_topology.errors import TopologyError, UnknownDeviceError
from oms_topology.model import NetworkColumns


@dataclass
class Branch:
    start: int
    end: int
    code: str
    normally_open: bool
    is_open: bool


@dataclass
class Oracle:
    """The network as plain lists; every question is answered from a graph made for it alone."""

    kinds: list[str]
    sources: list[int]
    branches: list[Branch]
    meters: dict[str, int] = field(default_factory=dict)
    alternates: dict[str, list[int]] = field(default_factory=dict)
    customers: dict[str, str] = field(default_factory=dict)

    def undirected(self, state: str, without: frozenset[object] = frozenset()) -> nx.MultiGraph:
        graph = nx.MultiGraph()
        graph.add_nodes_from(range(len(self.kinds)))
        for row, branch in enumerate(self.branches):
            is_open = branch.normally_open if state == "normal" else branch.is_open
            if not is_open and branch.code not in without:
                graph.add_edge(branch.start, branch.end, row=row)
        graph.remove_nodes_from([node for node in without if isinstance(node, int)])
        return graph

    def alive(self, state: str, without: frozenset[object] = frozenset()) -> set[int]:
        graph = self.undirected(state, without)
        found: set[int] = set()
        for source in self.sources:
            if source in graph:
                found |= nx.node_connected_component(graph, source)
        return found

    def tree(self, state: str) -> nx.DiGraph:
        graph = self.undirected(state)
        hops = nx.multi_source_dijkstra_path_length(graph, set(self.sources), weight=lambda *_: 1)
        tree = nx.DiGraph()
        tree.add_nodes_from(range(len(self.kinds)))
        for node, distance in hops.items():
            ways = [
                (facts["row"], near)
                for _, near, facts in graph.edges(node, data=True)
                if hops[near] == distance - 1
            ]
            if ways:
                tree.add_edge(min(ways)[1], node)
        return tree

    def second_supplies(self, meter: str) -> list[int]:
        own = self.meters[meter]
        tree = self.tree("normal")
        above = nx.ancestors(tree, own) | {own}
        return [device for device in self.alternates.get(meter, []) if device not in above]

    def feed(self, meter: str, state: str) -> int:
        alive = self.alive(state)
        ways = [self.meters[meter], *self.second_supplies(meter)]
        return next((device for device in ways if device in alive), self.meters[meter])

    def downstream(self, device: int, state: str) -> set[str]:
        if device not in self.alive(state):
            return set()
        below = nx.descendants(self.tree(state), device) | {device}
        return {meter for meter in self.meters if self.feed(meter, state) in below}

    def energised(self) -> set[str]:
        alive = self.alive("current")
        return {meter for meter in self.meters if self.feed(meter, "current") in alive}

    def survivors(self, without: frozenset[object]) -> set[str]:
        alive = self.alive("current", without)
        return {
            meter
            for meter, own in self.meters.items()
            if own in alive or any(device in alive for device in self.second_supplies(meter))
        }

    def path(self, device: int) -> list[str]:
        if device not in self.alive("current"):
            return []
        tree, path = self.tree("current"), [device]
        while above := list(tree.predecessors(path[-1])):
            path.extend(above)
        return [f"d{row}" for row in path]

    def columns(self) -> NetworkColumns:
        numbers = list(self.meters)
        alternates = [
            (row, device, order)
            for row, meter in enumerate(numbers)
            for order, device in enumerate(self.alternates.get(meter, []))
        ]
        table = np.array(alternates, dtype=np.int32).reshape(-1, 3)
        return NetworkColumns(
            device_kind=np.array(self.kinds, dtype=object),
            device_code=np.array([f"d{row}" for row in range(len(self.kinds))], dtype=object),
            device_is_source=np.isin(np.arange(len(self.kinds)), self.sources),
            branch_from=np.array([branch.start for branch in self.branches], dtype=np.int32),
            branch_to=np.array([branch.end for branch in self.branches], dtype=np.int32),
            branch_code=np.array([branch.code for branch in self.branches], dtype=object),
            branch_is_switch=np.full(len(self.branches), True),
            branch_normally_open=np.array([branch.normally_open for branch in self.branches], dtype=np.bool_),
            branch_is_open=np.array([branch.is_open for branch in self.branches], dtype=np.bool_),
            meter_number=np.array(numbers, dtype=object),
            meter_device=np.array(list(self.meters.values()), dtype=np.int32),
            meter_customer=np.array([self.customers[number] for number in numbers], dtype=object),
            alternate_meter=table[:, 0].copy(),
            alternate_device=table[:, 1].copy(),
            alternate_priority=table[:, 2].astype(np.int8),
        )


@st.composite
def oracles(draw: st.DrawFn) -> Oracle:
    count = draw(st.integers(2, 12))
    kinds = [
        "substation",
        *draw(st.lists(st.sampled_from(["section", "feeder"]), min_size=count - 1, max_size=count - 1)),
    ]
    sources = sorted({0} | draw(st.sets(st.integers(0, count - 1), max_size=2)))
    radial = [(draw(st.integers(0, node - 1)), node) for node in range(1, count)]
    pairs = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(
        lambda pair: pair[0] != pair[1]
    )
    ends = draw(st.permutations([*radial, *draw(st.lists(pairs, max_size=5))]))
    branches = []
    for row, (start, end) in enumerate(ends):
        if draw(st.booleans()):
            start, end = end, start
        normally_open = draw(st.integers(0, 4)) == 0
        branches.append(Branch(start, end, f"sw{row}", normally_open, draw(st.booleans()) and normally_open))
    oracle = Oracle(kinds, sources, branches)
    for number in range(draw(st.integers(0, 8))):
        oracle.meters[f"m{number}"] = draw(st.integers(0, count - 1))
        oracle.alternates[f"m{number}"] = draw(st.lists(st.integers(0, count - 1), max_size=2, unique=True))
        oracle.customers[f"m{number}"] = draw(st.sampled_from(["", "c1", "c2"]))
    return oracle


class SwitchingMachine(RuleBasedStateMachine):
    oracle: Oracle
    net: Topology
    added: int = 0

    @initialize(oracle=oracles())
    def build(self, oracle: Oracle) -> None:
        self.oracle = oracle
        self.net = Topology.from_columns(oracle.columns())
        self.kept = (self.net.meters, list(self.net.meters))

    @rule(data=st.data())
    def switch(self, data: st.DataObject) -> None:
        branch = data.draw(st.sampled_from(self.oracle.branches))
        if branch.is_open:
            self.net.close(branch.code)
        else:
            self.net.open(branch.code)
        branch.is_open = not branch.is_open

    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        if self.oracle.meters:
            meter = data.draw(st.sampled_from(sorted(self.oracle.meters)))
            device = data.draw(st.integers(0, len(self.oracle.kinds) - 1))
            self.net.move_meter(meter, f"d{device}")
            self.oracle.meters[meter] = device

    @rule(data=st.data())
    def add(self, data: st.DataObject) -> None:
        devices = st.integers(0, len(self.oracle.kinds) - 1)
        gone = [f"m{number}" for number in range(8) if f"m{number}" not in self.oracle.meters]
        self.added += 1
        meter = data.draw(st.sampled_from([*gone, f"new{self.added}"]))
        device, others = data.draw(devices), data.draw(st.lists(devices, max_size=2, unique=True))
        self.net.add_meter(meter, f"d{device}", alternates=[f"d{other}" for other in others])
        self.oracle.meters[meter], self.oracle.alternates[meter] = device, others
        self.oracle.customers[meter] = ""

    @precondition(lambda self: self.oracle.meters)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        meter = data.draw(st.sampled_from(sorted(self.oracle.meters)))
        self.net.remove_meter(meter)
        for table in (self.oracle.meters, self.oracle.alternates, self.oracle.customers):
            table.pop(meter)
        with pytest.raises(UnknownDeviceError):
            self.net.upstream(meter)

    @rule(data=st.data())
    def try_what_if(self, data: st.DataObject) -> None:
        branches = data.draw(st.lists(st.sampled_from(self.oracle.branches), max_size=3, unique_by=id))
        opened = [branch.code for branch in branches if not branch.is_open]
        closed = [branch.code for branch in branches if branch.is_open]
        other = self.net.what_if(open=opened, close=closed)
        for branch in branches:
            branch.is_open = not branch.is_open
        assert set(other.energised) == self.oracle.energised()
        other.add_meter("only_there", "d0")
        for branch in branches:
            branch.is_open = not branch.is_open
        assert "only_there" not in self.net.meters

    @rule(data=st.data())
    def fail_several(self, data: st.DataObject) -> None:
        devices = data.draw(
            st.lists(st.integers(0, len(self.oracle.kinds) - 1), min_size=1, max_size=3, unique=True)
        )
        self._check_impact(
            [f"d{row}" for row in devices],
            frozenset(devices),
            set().union(*(self.oracle.downstream(row, "current") for row in devices)),
        )
        joint = self.net.impact(f"d{devices[0]}")
        for row in devices[1:]:
            joint = joint | self.net.impact(f"d{row}")
        assert joint.lost == self.net.impact([f"d{row}" for row in devices]).lost

    @rule(data=st.data())
    def fail_switch(self, data: st.DataObject) -> None:
        branch = data.draw(st.sampled_from(self.oracle.branches))
        tree = self.oracle.tree("current")
        below = next(
            (
                end
                for start, end in ((branch.start, branch.end), (branch.end, branch.start))
                if tree.has_edge(start, end)
            ),
            None,
        )
        total = (
            self.oracle.downstream(below, "current") if below is not None and not branch.is_open else set()
        )
        assert set(self.net.downstream(branch.code)) == total
        self._check_impact([branch.code], frozenset({branch.code}), total)

    def _check_impact(self, codes: list[str], without: frozenset[object], total: set[str]) -> None:
        impact, survivors = self.net.impact(codes), self.oracle.survivors(without)
        assert set(impact.total) == total
        assert set(impact.lost) == total - survivors
        assert set(impact.backed_up) == total & survivors
        named = [self.oracle.customers[meter] for meter in impact.lost]
        assert impact.customers == len(set(named) - {""}) + named.count("")

    @rule(data=st.data())
    def find_common(self, data: st.DataObject) -> None:
        devices = [f"d{row}" for row in range(len(self.oracle.kinds))]
        codes = data.draw(st.lists(st.sampled_from([*self.oracle.meters, *devices]), max_size=4))
        feeds = [
            self.oracle.feed(code, "current") if code in self.oracle.meters else int(code[1:])
            for code in codes
        ]
        paths = [self.oracle.path(feed) for feed in feeds]
        shared = [code for code in paths[0] if all(code in path for path in paths)] if paths else []
        assert self.net.common_upstream(codes) == (shared[0] if shared else None)

    @rule(data=st.data())
    def combine(self, data: st.DataObject) -> None:
        codes = st.sampled_from([f"d{row}" for row in range(len(self.oracle.kinds))])
        left = self.net.downstream(data.draw(codes))
        right = data.draw(st.sampled_from([self.net.downstream(data.draw(codes)), self.kept[0]]))
        known = set(right) & set(self.oracle.meters)
        assert left & right == set(left) & set(right)
        assert left - right == set(left) - set(right)
        if known == set(right):
            assert left | right == set(left) | set(right)
            assert left ^ right == set(left) ^ set(right)

    @invariant()
    def every_device_agrees(self) -> None:
        for state in ("current", "normal"):
            for row in range(len(self.oracle.kinds)):
                below = self.net.downstream(f"d{row}", state=state)
                assert set(below) == self.oracle.downstream(row, state)
                assert len(below) == len(set(below))
        for row in range(len(self.oracle.kinds)):
            assert self.net.upstream(f"d{row}") == self.oracle.path(row)[1:]

    @invariant()
    def every_meter_agrees(self) -> None:
        assert set(self.net.meters) == set(self.oracle.meters)
        assert set(self.net.energised) == self.oracle.energised()
        for meter in self.oracle.meters:
            assert meter in self.net.meters
            assert self.net.upstream(meter) == self.oracle.path(self.oracle.feed(meter, "current"))

    @invariant()
    def graph_and_columns_agree(self) -> None:
        graph = self.net.graph
        again = Topology.from_columns(self.net.columns)
        for row in range(len(self.oracle.kinds)):
            below = set(self.net.downstream(f"d{row}"))
            assert {
                node for node in nx.descendants(graph, f"d{row}") if graph.nodes[node]["kind"] == "meter"
            } == below
            assert set(again.downstream(f"d{row}")) == below

    @invariant()
    def answers_given_before_stay(self) -> None:
        meters, numbers = self.kept
        assert list(meters) == numbers
        assert all(number in meters for number in numbers)


SwitchingMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=12, deadline=None)
TestSwitching = SwitchingMachine.TestCase


def test_oracle_and_engine_start_from_a_network_that_can_be_switched() -> None:
    oracle = Oracle(
        ["substation", "section"], [0], [Branch(0, 1, "sw0", False, False)], {"m0": 1}, {}, {"m0": ""}
    )
    net = Topology.from_columns(oracle.columns())
    with pytest.raises(TopologyError):
        net.what_if(open=["sw0"], close=["sw0"])
    assert oracle.downstream(0, "current") == set(net.downstream("d0")) == {"m0"}
