"""Every trace equals what plain NetworkX says of random networks with loops, ties and second supplies."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from itertools import pairwise

import networkx as nx
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from oms_topology import Topology
from oms_topology.model import NetworkColumns

KINDS = (
    "line",
    "line",
    "transformer",
    "switch",
    "switch",
    "fuse",
    "Circuit_Breaker",
    "switch:CB",
    "recloser",
)
PROTECTIVE = ("fuse", "Circuit_Breaker", "switch:CB", "recloser")
PHASES = (0, 0, 0, 7, 1, 2, 4, 3, 6)


@dataclass
class Branch:
    start: int
    end: int
    kind: str
    code: str
    normally_open: bool
    is_open: bool
    phases: int

    @property
    def is_switch(self) -> bool:
        return self.kind not in ("line", "transformer")

    @property
    def ends(self) -> tuple[int, int]:
        return self.start, self.end


@dataclass
class Oracle:
    """The network as plain lists; every answer comes from a graph made for it alone."""

    kinds: list[str]
    sources: list[int]
    branches: list[Branch]
    meters: dict[str, int] = field(default_factory=dict)
    alternates: dict[str, list[int]] = field(default_factory=dict)
    phases: dict[str, int] = field(default_factory=dict)
    load: dict[str, str] = field(default_factory=dict)

    def open_rows(self, state: str) -> set[int]:
        return {
            row
            for row, branch in enumerate(self.branches)
            if (branch.normally_open if state == "normal" else branch.is_open)
        }

    def graph(self, opened: set[int], without: set[int] = frozenset()) -> nx.MultiGraph:
        graph = nx.MultiGraph()
        graph.add_nodes_from(set(range(len(self.kinds))) - without)
        for row, branch in enumerate(self.branches):
            if row not in opened and not without & set(branch.ends):
                graph.add_edge(branch.start, branch.end, row=row)
        return graph

    def alive(self, opened: set[int], without: set[int] = frozenset()) -> set[int]:
        graph = self.graph(opened, without)
        parts = (nx.node_connected_component(graph, source) for source in self.sources if source in graph)
        return set().union(*parts)

    def tree(self, state: str) -> nx.DiGraph:
        graph = self.graph(self.open_rows(state))
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

    def ways(self, meter: str) -> list[int]:
        own, normal = self.meters[meter], self.tree("normal")
        is_alive = own in self.alive(self.open_rows("normal"))
        above = nx.ancestors(normal, own) | {own} if is_alive else {own}
        return [own, *(device for device in self.alternates[meter] if device not in above)]

    def energised(self, opened: set[int], without: set[int] = frozenset()) -> set[str]:
        alive = self.alive(opened, without)
        return {meter for meter in self.meters if alive.intersection(self.ways(meter))}

    def feed(self, meter: str, state: str) -> int:
        alive = self.alive(self.open_rows(state))
        return next((device for device in self.ways(meter) if device in alive), self.meters[meter])

    def section(self, start: int, opened: set[int]) -> set[int]:
        stops = {row for row, branch in enumerate(self.branches) if branch.is_switch}
        return nx.node_connected_component(self.graph(opened | stops), start)

    def columns(self) -> NetworkColumns:
        numbers = list(self.meters)
        alternates = [
            (row, device, order)
            for row, meter in enumerate(numbers)
            for order, device in enumerate(self.alternates[meter])
        ]
        table = np.array(alternates, dtype=np.int32).reshape(-1, 3)
        part = {
            f"branch_{name}": np.array([getattr(branch, name) for branch in self.branches], dtype=dtype)
            for name, dtype in (
                ("kind", object),
                ("code", object),
                ("is_switch", np.bool_),
                ("normally_open", np.bool_),
                ("is_open", np.bool_),
                ("phases", np.uint8),
            )
        }
        return NetworkColumns(
            device_kind=np.array(self.kinds, dtype=object),
            device_code=np.array([f"d{row}" for row in range(len(self.kinds))], dtype=object),
            device_is_source=np.isin(np.arange(len(self.kinds)), self.sources),
            branch_from=np.array([branch.start for branch in self.branches], dtype=np.int32),
            branch_to=np.array([branch.end for branch in self.branches], dtype=np.int32),
            meter_number=np.array(numbers, dtype=object),
            meter_device=np.array(list(self.meters.values()), dtype=np.int32),
            meter_phases=np.array([self.phases[number] for number in numbers], dtype=np.uint8),
            meter_attributes={"load_kw": np.array([self.load[number] for number in numbers], dtype=object)},
            alternate_meter=table[:, 0].copy(),
            alternate_device=table[:, 1].copy(),
            alternate_priority=table[:, 2].astype(np.int8),
            **part,
        )


@st.composite
def oracles(draw: st.DrawFn) -> Oracle:
    count = draw(st.integers(2, 11))
    more = st.sampled_from(["section", "section", "feeder", "distribution_point"])
    kinds = ["substation", *draw(st.lists(more, min_size=count - 1, max_size=count - 1))]
    sources = sorted({0} | draw(st.sets(st.integers(0, count - 1), max_size=1)))
    radial = [(draw(st.integers(max(0, node - 3), node - 1)), node) for node in range(1, count)]
    pairs = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(
        lambda pair: pair[0] != pair[1]
    )
    branches = []
    for row, ends in enumerate(draw(st.permutations([*radial, *draw(st.lists(pairs, max_size=5))]))):
        kind = draw(st.sampled_from(KINDS))
        start, end = ends if draw(st.booleans()) else ends[::-1]
        is_tie = kind not in ("line", "transformer") and draw(st.integers(0, 2)) == 0
        phases = draw(st.sampled_from(PHASES))
        branches.append(Branch(start, end, kind, f"b{row}", is_tie, is_tie, phases))
    oracle = Oracle(kinds, sources, branches)
    for number in range(draw(st.integers(1, 8))):
        meter = f"m{number}"
        oracle.meters[meter] = draw(st.integers(0, count - 1))
        oracle.alternates[meter] = draw(st.lists(st.integers(0, count - 1), max_size=2, unique=True))
        oracle.phases[meter] = draw(st.sampled_from(PHASES))
        oracle.load[meter] = draw(st.sampled_from(["", "1.5", "2", "x"]))
    return oracle


def changed(oracle: Oracle, net: Topology, data: st.DataObject) -> None:
    """Change both alike: switches, cuts, jumpers, meters that move, sections fed from elsewhere."""
    for _ in range(data.draw(st.integers(0, 5), label="changes")):
        what = data.draw(st.sampled_from(["switch", "switch", "switch", "cut", "jumper", "move", "device"]))
        devices = st.integers(0, len(oracle.kinds) - 1)
        if what == "move":
            meter, device = data.draw(st.sampled_from(sorted(oracle.meters))), data.draw(devices)
            net.move_meter(meter, f"d{device}")
            oracle.meters[meter] = device
        elif what == "jumper":
            ends = data.draw(st.tuples(devices, devices).filter(lambda pair: pair[0] != pair[1]))
            code = f"b{len(oracle.branches)}"
            net.jumper(*(f"d{end}" for end in ends), code=code)
            oracle.branches.append(Branch(*ends, "jumper", code, True, False, 0))
        elif what == "device":
            above, code, row = data.draw(devices), f"b{len(oracle.branches)}", len(oracle.kinds)
            kind = data.draw(st.sampled_from(["fuse", "switch"]))
            net.add_device(f"d{row}", kind="section", parent=f"d{above}", switch=code, branch_kind=kind)
            oracle.kinds.append("section")
            oracle.branches.append(Branch(above, row, kind, code, False, False, 0))
        else:
            branch = data.draw(st.sampled_from(oracle.branches))
            if branch.is_switch:
                (net.close if branch.is_open else net.open)(branch.code)
                branch.is_open = not branch.is_open
            elif what == "cut":
                net.cut(*(f"d{end}" for end in branch.ends))
                for other in oracle.branches:
                    other.is_open |= set(other.ends) == set(branch.ends)


@st.composite
def places(draw: st.DrawFn, oracle: Oracle) -> str:
    devices = [f"d{row}" for row in range(len(oracle.kinds))]
    return draw(st.sampled_from([*devices, *oracle.meters, *switch_codes(oracle)]))


def switch_codes(oracle: Oracle) -> list[str]:
    return [branch.code for branch in oracle.branches if branch.is_switch]


def switch_of(oracle: Oracle, code: str) -> Branch:
    return next(branch for branch in oracle.branches if branch.code == code)


def fed_by_switch(oracle: Oracle, code: str, state: str) -> tuple[int, int] | None:
    branch, tree = switch_of(oracle, code), oracle.tree(state)
    if oracle.branches.index(branch) in oracle.open_rows(state):
        return None
    return next((ends for ends in (branch.ends, branch.ends[::-1]) if tree.has_edge(*ends)), None)


def way_up(oracle: Oracle, code: str, state: str) -> tuple[list[int], bool]:
    """Devices from the first on the way up to the source, and whether the first is on the way."""
    first, is_included = -1, True
    if code in oracle.meters:
        first = oracle.feed(code, state)
    elif code.startswith("d"):
        first, is_included = int(code[1:]), False
    elif ends := fed_by_switch(oracle, code, state):
        first = ends[0]
    if first not in oracle.alive(oracle.open_rows(state)):
        return [], True
    tree, way = oracle.tree(state), [first]
    while above := list(tree.predecessors(way[-1])):
        way.extend(above)
    return way, is_included


def members(oracle: Oracle, one: int, other: int, state: str) -> list[Branch]:
    opened = oracle.open_rows(state)
    return [
        branch
        for row, branch in enumerate(oracle.branches)
        if set(branch.ends) == {one, other} and row not in opened
    ]


SETTINGS = settings(max_examples=int(os.environ.get("TRACE_EXAMPLES", "120")), deadline=None)
STATES = st.sampled_from(["current", "normal"])


@SETTINGS
@given(oracles(), STATES, st.data())
def test_ways_and_protection(oracle: Oracle, state: str, data: st.DataObject) -> None:
    net = Topology.from_columns(oracle.columns())
    net.next_protective("d0")  # what is remembered of the network from now on has to follow its changes
    changed(oracle, net, data)
    devices = [f"d{row}" for row in range(len(oracle.kinds))]
    codes = [*devices, *oracle.meters, *switch_codes(oracle)]
    protecting = []
    for code in codes:
        way, is_included = way_up(oracle, code, state)
        steps = [(oracle.kinds[way[0]], f"d{way[0]}")] if way and is_included else []
        fuses, guards = [], []
        for below, above in pairwise(way):
            between = members(oracle, below, above, state)
            steps += [(branch.kind, branch.code) for branch in between if branch.is_switch]
            steps.append((oracle.kinds[above], f"d{above}"))
            fuses += [branch.code for branch in between if branch.kind in ("fuse", "line")]
            if all(branch.kind in PROTECTIVE for branch in between):
                guards += [branch.code for branch in between]
        assert [(step.kind, step.code) for step in net.path(code, state=state)] == steps
        wanted = [step for step in steps if step[0] in ("feeder", "distribution_point")]
        found = net.path(code, ["feeder", "distribution_point"], state=state)
        assert [(step.kind, step.code) for step in found] == wanted
        assert [step.code for step in net.path(code, ["fuse", "line"], state=state)] == fuses
        assert net.protection_path(code, state=state) == guards
        assert net.next_protective(code, state=state) == (guards[0] if guards else None)
        protecting.append(guards[0] if guards else None)
    assert net.next_protective_of(codes, state=state) == protecting
    assert net.paths_of(codes, state=state) == [net.path(code, state=state) for code in codes]


def zone_of(oracle: Oracle, code: str, state: str) -> set[int]:
    """The devices that are isolated together."""
    opened = oracle.open_rows(state)
    if code in oracle.meters:
        return oracle.section(oracle.feed(code, state), opened)
    if code.startswith("d"):
        return oracle.section(int(code[1:]), opened)
    stops = {row for row, branch in enumerate(oracle.branches) if branch.is_switch}
    row = oracle.branches.index(switch_of(oracle, code))
    return nx.node_connected_component(oracle.graph((opened | stops) - {row}), oracle.branches[row].start)


@SETTINGS
@given(oracles(), STATES, st.data())
def test_isolation(oracle: Oracle, state: str, data: st.DataObject) -> None:
    net = Topology.from_columns(oracle.columns())
    changed(oracle, net, data)
    opened, tree = oracle.open_rows(state), oracle.tree(state)
    now = oracle.energised(opened)
    for code in data.draw(st.lists(places(oracle), min_size=1, max_size=5)):
        zone, isolation = zone_of(oracle, code, state), net.isolating_switches(code, state=state)
        border = [
            (row, branch)
            for row, branch in enumerate(oracle.branches)
            if branch.is_switch and len(zone & set(branch.ends)) == 1
        ]
        after = oracle.energised(opened, zone)
        inside = {meter for meter in oracle.meters if oracle.feed(meter, state) in zone}
        through = {
            meter for meter in now if zone & (nx.ancestors(tree, feed := oracle.feed(meter, state)) | {feed})
        }
        assert isolation.devices == tuple(f"d{row}" for row in sorted(zone))
        assert isolation.switches == tuple(branch.code for row, branch in border if row not in opened)
        assert isolation.open_switches == tuple(branch.code for row, branch in border if row in opened)
        assert isolation.sources == tuple(f"d{row}" for row in sorted(zone) if row in oracle.sources)
        assert set(isolation.meters) == inside
        assert set(isolation.also_lost) == now - after - inside
        assert set(isolation.backed_up) == through & after
        many = net.isolating_switches_of([code, "d0", code], state=state)
        assert [each.switches for each in many[::2]] == [isolation.switches] * 2
        assert many[0].also_lost == isolation.also_lost


@SETTINGS
@given(oracles(), STATES, st.data())
def test_restoration(oracle: Oracle, state: str, data: st.DataObject) -> None:
    net = Topology.from_columns(oracle.columns())
    changed(oracle, net, data)
    for code in data.draw(st.lists(places(oracle), min_size=1, max_size=5)):
        check_restoration(oracle, net, code, state)


def check_restoration(oracle: Oracle, net: Topology, code: str, state: str) -> None:
    plan, opened = net.restoration(code, state=state), oracle.open_rows(state)
    is_switch = code in switch_codes(oracle)
    zone: set[int] = set() if is_switch else zone_of(oracle, code, state)
    failed = {oracle.branches.index(switch_of(oracle, code))} if is_switch else set()
    affected = affected_by(oracle, zone, failed, state)
    before = opened | failed
    alive = oracle.alive(before, zone)
    dark = affected - alive
    usable = {
        row
        for row in opened - failed
        if oracle.branches[row].is_switch and set(oracle.branches[row].ends) <= dark | alive
    }
    row_of = {oracle.branches[row].code: row for row in usable}

    def gained(closed: set[int], last: int) -> set[str]:
        with_last = oracle.energised(before - closed - {last}, zone)
        return with_last - oracle.energised(before - closed, zone)

    reachable = oracle.alive(before - usable, zone) & dark
    direct = {row for row in usable if len(alive & set(oracle.branches[row].ends)) == 1}
    assert {tie.switch for tie in plan.ties if not tie.after} == {
        oracle.branches[row].code for row in direct if gained(set(), row)
    }
    for tie in plan.ties:
        earlier = {row_of[switch] for switch in tie.after}
        assert set(tie.meters) == gained(earlier, row_of[tie.switch]) != set()
        assert len(tie) == len(set(tie.meters))
        assert tie.load_kw == sum(
            float(oracle.load[meter]) for meter in tie.meters if oracle.load[meter] in ("1.5", "2")
        )
        assert int(tie.from_device[1:]) in alive | reachable
        if not tie.after:
            assert tie.feeder == feeder_above(oracle, int(tie.from_device[1:]), state)
            assert tie.feeder_meters == len(net.downstream(tie.feeder, state=state))
    ranks = [(-len(tie), len(tie.after), tie.feeder_meters, tie.switch) for tie in plan.ties]
    assert ranks == sorted(ranks)
    everything = oracle.energised(before - usable, zone)
    none = oracle.energised(before, zone)
    fed = {meter: oracle.feed(meter, state) for meter in oracle.meters}
    outside = {meter for meter in oracle.meters if fed[meter] in affected and meter not in none}
    assert set(plan.restorable) == everything - none
    assert set(plan.unrestorable) == outside - everything
    assert [tie.switch for tie in net.ties(code, state=state)] == [tie.switch for tie in plan.ties]


def affected_by(oracle: Oracle, zone: set[int], failed: set[int], state: str) -> set[int]:
    """Devices whose supply, or whose island, hangs on what fails; without what is isolated."""
    opened, tree = oracle.open_rows(state), oracle.tree(state)
    graph, alive = oracle.graph(opened), oracle.alive(opened)
    found: set[int] = set()
    for device in zone:
        found |= (
            nx.descendants(tree, device) if device in alive else nx.node_connected_component(graph, device)
        )
    for row in failed - opened:
        ends = oracle.branches[row].ends
        twins = members(oracle, *ends, state)
        if len(twins) > 1:
            continue
        if ends[0] not in alive:
            found |= nx.node_connected_component(graph, ends[0])
        for start, end in (ends, ends[::-1]):
            if tree.has_edge(start, end):
                found |= nx.descendants(tree, end) | {end}
    return found - zone


def feeder_above(oracle: Oracle, device: int, state: str) -> str:
    way = [device]
    tree = oracle.tree(state)
    while above := list(tree.predecessors(way[-1])):
        way.extend(above)
    return f"d{next((row for row in way if oracle.kinds[row] == 'feeder'), way[-1])}"


@SETTINGS
@given(oracles(), STATES, st.data())
def test_feeds_islands_and_dual_fed(oracle: Oracle, state: str, data: st.DataObject) -> None:
    net = Topology.from_columns(oracle.columns())
    changed(oracle, net, data)
    opened, tree = oracle.open_rows(state), oracle.tree(state)
    alive, graph = oracle.alive(opened), oracle.graph(opened)
    for kind in ("substation", "feeder", "distribution_point", "source"):
        feeds = net.energised_by(kind, state=state)
        expected = []
        for meter in oracle.meters:
            way = way_up(oracle, meter, state)[0]
            matching = [row for row in way if oracle.kinds[row] == kind]
            expected.append(
                f"d{way[-1]}" if kind == "source" and way else next((f"d{row}" for row in matching), "")
            )
        assert feeds.codes.tolist() == expected
        assert feeds.counts() == {code: expected.count(code) for code in feeds.counts()}
        assert sum(feeds.counts().values()) == len(expected) - expected.count("")
        if state == "normal":
            assert net.normally_fed_by(kind).codes.tolist() == expected
    islands = net.dead_islands(state=state)
    dead = [part for part in nx.connected_components(graph) if not part & alive]
    assert sorted(sorted(island.devices) for island in islands) == sorted(
        sorted(f"d{row}" for row in part) for part in dead
    )
    for island in islands:
        part = {int(code[1:]) for code in island.devices}
        leading_out = [
            branch.code
            for row, branch in enumerate(oracle.branches)
            if branch.is_switch and row in opened and len(part & set(branch.ends)) == 1
        ]
        assert list(island.switches) == leading_out
        assert set(island.meters) == {meter for meter in oracle.meters if oracle.feed(meter, state) in part}
    dual = set()
    for meter in oracle.meters:
        feed = oracle.feed(meter, state)
        line = nx.ancestors(tree, feed) | nx.descendants(tree, feed) | {feed}
        if feed in alive and any(way in alive and way not in line for way in oracle.ways(meter)):
            dual.add(meter)
    assert set(net.dual_fed(state=state)) == dual


@SETTINGS
@given(oracles(), st.data())
def test_difference(oracle: Oracle, data: st.DataObject) -> None:
    net = Topology.from_columns(oracle.columns())
    start, feeders = Topology.from_columns(net.columns), {}
    was = {state: oracle.energised(oracle.open_rows(state)) for state in ("current", "normal")}
    alive = oracle.alive(oracle.open_rows("current"))
    feeders = {code: feeder_of(oracle, code, "current") for code in everything(oracle)}
    changed(oracle, net, data)
    now, alive_now = oracle.energised(oracle.open_rows("current")), oracle.alive(oracle.open_rows("current"))
    difference = net.difference(start)
    kept = {code for code in everything(oracle) if code in feeders}
    moved = {code for code in kept if feeders[code] != feeder_of(oracle, code, "current")}
    assert set(difference.lost) == was["current"] - now
    assert set(difference.regained) == now - was["current"]
    assert set(difference.changed_feeder) == moved & was["current"] & now
    device = {f"d{row}" for row in alive}, {f"d{row}" for row in alive_now}
    assert set(difference.devices_lost) == device[0] - device[1]
    assert set(difference.devices_regained) == (device[1] & kept) - device[0]
    assert set(difference.devices_changed_feeder) == moved & device[0] & device[1]
    assert len(difference.added) == len(difference.removed) == 0
    normally = oracle.energised(oracle.open_rows("normal"))
    assert set(net.difference("normal").lost) == normally - now
    assert set(net.difference("normal").regained) == now - normally
    assert not net.difference("current")
    assert set(start.difference(net).lost) == now - was["current"]


def everything(oracle: Oracle) -> list[str]:
    return [*(f"d{row}" for row in range(len(oracle.kinds))), *oracle.meters]


def feeder_of(oracle: Oracle, code: str, state: str) -> str:
    device = oracle.feed(code, state) if code in oracle.meters else int(code[1:])
    if device not in oracle.alive(oracle.open_rows(state)):
        return ""
    feeder = feeder_above(oracle, device, state)
    return feeder if oracle.kinds[int(feeder[1:])] == "feeder" else ""


@SETTINGS
@given(oracles(), STATES, st.sampled_from("ABC"), st.data())
def test_phases(oracle: Oracle, state: str, phase: str, data: st.DataObject) -> None:
    net = Topology.from_columns(oracle.columns())
    net.phases("d0")
    changed(oracle, net, data)
    bit, tree = 1 << "ABC".index(phase), oracle.tree(state)
    reaching: dict[int, int] = {}
    for device in nx.topological_sort(tree):
        above = next(iter(tree.predecessors(device)), None)
        between = [] if above is None else members(oracle, device, above, state)
        carried = 0
        for branch in between:
            carried |= branch.phases or 7
        reaching[device] = 7 if above is None else reaching[above] & carried
    alive = oracle.alive(oracle.open_rows(state))
    takes = {meter: oracle.phases[meter] or 7 for meter in oracle.meters}
    fed = {meter: oracle.feed(meter, state) for meter in oracle.meters}
    supplied = {
        meter for meter in oracle.meters if fed[meter] in alive and takes[meter] & reaching[fed[meter]] & bit
    }
    for row in range(len(oracle.kinds)):
        below = nx.descendants(tree, row) | {row} if row in alive else set()
        found = net.downstream_phase(f"d{row}", phase, state=state)
        assert set(found) == {meter for meter in supplied if fed[meter] in below}
        assert len(found) == len(set(found))
        assert net.phases(f"d{row}", state=state) == letters(reaching[row] if row in alive else 0)
    for code in switch_codes(oracle):
        ends, own = fed_by_switch(oracle, code, state), switch_of(oracle, code).phases or 7
        below = nx.descendants(tree, ends[1]) | {ends[1]} if ends and own & bit else set()
        assert set(net.downstream_phase(code, phase, state=state)) == {
            meter for meter in supplied if fed[meter] in below
        }
    for meter in oracle.meters:
        own = takes[meter] & reaching[fed[meter]] if fed[meter] in alive else 0
        assert net.phases(meter, state=state) == letters(own)
        assert list(net.downstream_phase(meter, phase, state=state)) == [meter] * (meter in supplied)


def letters(bits: int) -> str:
    return "".join(letter for place, letter in enumerate("ABC") if bits >> place & 1)


@SETTINGS
@given(oracles(), STATES, st.data())
def test_batches_equal_questions_one_by_one(oracle: Oracle, state: str, data: st.DataObject) -> None:
    net = Topology.from_columns(oracle.columns())
    changed(oracle, net, data)
    devices = [f"d{row}" for row in range(len(oracle.kinds))]
    codes = data.draw(st.lists(places(oracle), max_size=8))
    below = [list(net.downstream(code, state=state)) for code in codes]
    numbers = list(oracle.meters)
    assert net.meter_rows(numbers).tolist() == list(range(len(numbers)))
    assert net.count_below(codes, state=state).tolist() == list(map(len, below))
    offsets, rows = net.meters_below(codes, state=state)
    listed = [[numbers[row] for row in rows[start:stop]] for start, stop in pairwise(offsets.tolist())]
    assert listed == below
    statuses = np.array(data.draw(st.lists(st.integers(0, 2), min_size=len(numbers), max_size=len(numbers))))
    found = net.histograms_below(codes, statuses.astype(np.int8), state=state)
    assert found.shape == (len(codes), 3)
    for row, meters in zip(found.tolist(), below, strict=True):
        of_each = [statuses[numbers.index(meter)] for meter in meters]
        assert row == [of_each.count(kind) for kind in range(3)]
    dark = [statuses[numbers.index(meter)] == 0 for meter in numbers]
    assert net.dark_below(np.array(dark), state=state).tolist() == [
        sum(dark[numbers.index(meter)] for meter in net.downstream(device, state=state)) for device in devices
    ]
    rows = net.rows(devices)
    assert rows.tolist() == list(range(len(devices)))
    assert net.count_below(rows, state=state).tolist() == net.count_below(devices, state=state).tolist()
    groups = data.draw(st.lists(st.lists(places(oracle), max_size=4), max_size=4))
    assert net.common_upstream_of(groups, state=state) == [
        net.common_upstream(group, state=state) for group in groups
    ]
    group = data.draw(st.lists(st.sampled_from(devices), max_size=4))
    common = net.common_upstream_row(net.rows(group), state=state)
    assert (devices[common] if common >= 0 else None) == net.common_upstream(group, state=state)
