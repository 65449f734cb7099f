"""Ten thousand changes in one run, of every kind, while others read: always what plain NetworkX says."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field, replace
from typing import Any

import networkx as nx
import numpy as np
import pytest

from oms_topology import Topology
from oms_topology.errors import TopologyError
from oms_topology.model import NetworkColumns

_COMPARED_EVERY = 100
_REBUILT_EVERY = 1_000
_STATIONS, _DEVICES, _METERS, _TIES = 3, 60, 240, 8


@dataclass
class Branch:
    start: str
    end: str
    code: str
    normally_open: bool
    is_open: bool

    @property
    def ends(self) -> set[str]:
        return {self.start, self.end}


@dataclass
class Plain:
    """The network as a beginner would keep it: a dictionary of branches, one of meters, and NetworkX."""

    sources: set[str] = field(default_factory=set)
    devices: dict[str, int] = field(default_factory=dict)
    branches: dict[int, Branch] = field(default_factory=dict)
    meters: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)

    def tree(self, state: str) -> nx.DiGraph[str]:
        """Who feeds whom: fewest hops from a source, ties to the branch that came first."""
        graph: nx.MultiGraph[str] = nx.MultiGraph()
        graph.add_nodes_from(self.devices)
        for row, branch in self.branches.items():
            if not (branch.is_open if state == "current" else branch.normally_open):
                graph.add_edge(branch.start, branch.end, key=row)
        hops = nx.multi_source_dijkstra_path_length(graph, self.sources, weight=lambda *_: 1)
        tree: nx.DiGraph[str] = nx.DiGraph()
        tree.add_nodes_from(hops)
        for node, count in hops.items():
            above = [
                (row, other) for _, other, row in graph.edges(node, keys=True) if hops[other] == count - 1
            ]
            if above:
                tree.add_edge(min(above)[1], node)
        return tree

    def downstream(self, state: str) -> dict[str, set[str]]:
        """The meters below every device."""
        tree, normal = self.tree(state), self.tree("normal")
        below: dict[str, set[str]] = {device: set() for device in self.devices}
        for number, (own, others) in self.meters.items():
            way = {own} | (nx.ancestors(normal, own) if own in normal else set())
            ways = [own, *(device for device in others if device not in way)]
            feed = next((device for device in ways if device in tree), None)
            while feed is not None:
                below[feed].add(number)
                feed = next(iter(tree.predecessors(feed)), None)
        return below

    def copy(self) -> Plain:
        branches = {row: replace(branch) for row, branch in self.branches.items()}
        return Plain(self.sources, dict(self.devices), branches, dict(self.meters))

    def between(self, one: str, other: str) -> list[Branch]:
        return [branch for branch in self.branches.values() if branch.ends == {one, other}]


def a_town(chance: random.Random, dual_fed: int) -> Plain:
    """Substations with lines that branch, ties that are normally open, and so many dual-fed meters."""
    plain = Plain()
    codes = [f"D{number:02d}" for number in range(_DEVICES)]
    plain.devices = {code: row for row, code in enumerate(codes)}
    plain.sources = set(codes[:_STATIONS])
    for row, code in enumerate(codes[_STATIONS:]):
        start = codes[chance.randrange(max(0, row - 12), row + _STATIONS)]
        plain.branches[row] = Branch(start, code, f"SW{row}", normally_open=False, is_open=False)
    for _ in range(_TIES):
        row, ends = len(plain.branches), chance.sample(codes, 2)
        plain.branches[row] = Branch(*ends, f"SW{row}", normally_open=True, is_open=True)
    for number in range(_METERS):
        others = tuple(chance.sample(codes, 2)) if number < dual_fed else ()
        plain.meters[f"M{number}"] = chance.choice(codes), others
    return plain


def columns_of(plain: Plain) -> NetworkColumns:
    branches, devices = list(plain.branches.values()), plain.devices
    feeders = {branch.end for branch in branches if branch.start in plain.sources}
    second = [
        (meter, devices[other], priority + 2)
        for meter, (_, others) in enumerate(plain.meters.values())
        for priority, other in enumerate(others)
    ]
    table = np.array(second, dtype=np.int32).reshape(-1, 3)
    return NetworkColumns(
        device_kind=np.array(
            [
                "substation" if code in plain.sources else "feeder" if code in feeders else "section"
                for code in devices
            ],
            dtype=object,
        ),
        device_code=np.array(list(devices), dtype=object),
        device_is_source=np.array([code in plain.sources for code in devices]),
        branch_from=np.array([devices[branch.start] for branch in branches], dtype=np.int32),
        branch_to=np.array([devices[branch.end] for branch in branches], dtype=np.int32),
        branch_code=np.array([branch.code for branch in branches], dtype=object),
        branch_is_switch=np.full(len(branches), True),
        branch_normally_open=np.array([branch.normally_open for branch in branches]),
        branch_is_open=np.array([branch.is_open for branch in branches]),
        meter_number=np.array(list(plain.meters), dtype=object),
        meter_device=np.array([devices[own] for own, _ in plain.meters.values()], dtype=np.int32),
        alternate_meter=table[:, 0].copy(),
        alternate_device=table[:, 1].copy(),
        alternate_priority=table[:, 2].astype(np.int8),
    )


class Driver:
    """Makes the same changes to the engine and to the plain network."""

    def __init__(self, seed: int, dual_fed: int) -> None:
        self.chance = random.Random(seed)
        self.dual_fed = dual_fed
        self.plain = a_town(self.chance, dual_fed)
        self.net = Topology.from_columns(columns_of(self.plain))
        self.before: list[Plain] = []
        self.rows = len(self.plain.branches)
        self.added = 0
        self.sources = sorted(self.plain.sources)
        self.counts = [self.count()]

    def count(self) -> dict[str, int]:
        """Count the meters below every source, without making a set that would hold the old layouts."""
        return dict(zip(self.sources, self.net.count_below(self.sources).tolist(), strict=True))

    def change(self) -> None:
        """Make one change of some kind; one that the engine refuses leaves both as they are."""
        kinds = (self.switch, self.move, self.refeed, self.cut, self.jump, self.meter, self.device, self.undo)
        kind = self.chance.choices(kinds, (30, 30, 15, 5, 5, 6, 6, 3))[0]
        version, plain = self.net.version, self.plain.copy()
        try:
            kind()
        except TopologyError:
            self.plain = plain
        if self.net.version > version:
            self.counts.append(self.count())
            if kind != self.undo:
                self.before.append(plain)

    def a(self, codes: Any) -> str:
        return self.chance.choice(sorted(codes))

    def switch(self) -> None:
        """Mostly shut again what is open, so that most of the town has supply."""
        branches = list(self.plain.branches.values())
        unusual = [branch for branch in branches if branch.is_open != branch.normally_open]
        branch = self.chance.choice(unusual if unusual and self.chance.random() < 0.6 else branches)
        branch.is_open = not branch.is_open
        (self.net.open if branch.is_open else self.net.close)(branch.code)

    def move(self) -> None:
        meter, device = self.a(self.plain.meters), self.a(self.plain.devices)
        self.plain.meters[meter] = device, self.plain.meters[meter][1]
        self.net.move_meter(meter, device)

    def refeed(self) -> None:
        tree = self.plain.tree("normal")
        device, parent = self.a(set(tree) - self.plain.sources), self.a(self.plain.devices)
        old = next(iter(tree.predecessors(device)))
        for branch in self.plain.between(device, old) if parent != old else ():
            if not branch.normally_open:
                branch.start, branch.end = parent, device
        self.net.refeed(device, parent)

    def cut(self) -> None:
        one, other = self.chance.choice(list(self.plain.branches.values())).ends
        is_mended = self.chance.random() < 0.7
        for branch in self.plain.between(one, other):
            branch.is_open = branch.normally_open if is_mended else True
        (self.net.mend if is_mended else self.net.cut)(one, other)

    def jump(self) -> None:
        placed = [row for row, branch in self.plain.branches.items() if branch.code.startswith("J")]
        if len(placed) > 3:
            branch = self.plain.branches.pop(self.chance.choice(placed))
            self.net.remove_jumper(branch.code)
            return
        one, other = self.chance.sample(sorted(self.plain.devices), 2)
        self.added += 1
        self.rows += 1
        self.plain.branches[self.rows] = Branch(one, other, f"J{self.added}", True, False)
        self.net.jumper(one, other, code=f"J{self.added}")

    def meter(self) -> None:
        if len(self.plain.meters) > _METERS:
            meter = self.a(self.plain.meters)
            del self.plain.meters[meter]
            self.net.remove_meter(meter)
            return
        self.added += 1
        device, *others = self.chance.sample(sorted(self.plain.devices), 1 + (self.dual_fed > 0))
        self.plain.meters[f"M{self.added + _METERS}"] = device, tuple(others)
        self.net.add_meter(f"M{self.added + _METERS}", device, alternates=others)

    def device(self) -> None:
        """Add one; or take one out that nothing hangs on, which the engine must know."""
        if len(self.plain.devices) > _DEVICES + 5:
            gone = self.a(set(self.plain.devices) - self.plain.sources)
            self.net.remove_device(gone)
            assert not any(gone in (own, *others) for own, others in self.plain.meters.values())
            del self.plain.devices[gone]
            for row in [row for row, branch in self.plain.branches.items() if gone in branch.ends]:
                del self.plain.branches[row]
            return
        self.added += 1
        self.rows += 1
        code, parent = f"N{self.added}", self.a(self.plain.devices)
        self.plain.devices[code] = self.rows
        self.plain.branches[self.rows] = Branch(parent, code, f"SW{code}", False, False)
        self.net.add_device(code, kind="section", parent=parent, switch=f"SW{code}")

    def undo(self) -> None:
        if self.net.undo():
            self.plain = self.before.pop()

    def compare(self) -> None:
        """Compare what hangs below every device, in both states."""
        for state in ("normal", "current"):
            expected = self.plain.downstream(state)
            found = {code: set(self.net.downstream(code, state=state)) for code in self.net.devices}
            assert found == expected
        assert {switch: self.net.is_open(switch) for switch in self.net.switches} == {
            branch.code: branch.is_open for branch in self.plain.branches.values()
        }

    def compare_with_one_built_from_nothing(self) -> None:
        anew = Topology.from_columns(self.net.columns)
        for state in ("normal", "current"):
            for code in (*self.net.devices, *self.net.meters):
                assert self.net.upstream(code, state=state) == anew.upstream(code, state=state)
                assert list(self.net.downstream(code, state=state)) == list(
                    anew.downstream(code, state=state)
                )
        assert list(self.net.energised) == list(anew.energised)


def _read_on(
    net: Topology, sources: list[str], done: threading.Event, seen: list[tuple[int, str, int, int]]
) -> None:
    """Ask again and again, and note what was said between which versions."""
    number = 0
    while not done.is_set():
        code = sources[number % len(sources)]
        before = net.version
        below = net.downstream(code)
        after, numbers = net.version, list(below)
        if len(numbers) != len(below) or len(set(numbers)) != len(numbers):
            seen.append((before, code, -1, after))
        if number % 50 == 0:
            seen.append((before, code, len(below), after))
        number += 1
        done.wait(0.0005)


def _as_it_was(driver: Driver, version: int, kept: Plain) -> None:
    past = driver.net.as_of(version)
    assert {code: set(past.downstream(code)) for code in past.devices} == kept.downstream("current")


@pytest.mark.parametrize(("changes", "dual_fed"), [(10_000, 0), (3_000, 12)])
def test_changes_beside_networkx(changes: int, dual_fed: int) -> None:
    driver = Driver(seed=20260301, dual_fed=dual_fed)
    first = driver.plain.copy()
    done = threading.Event()
    seen: list[list[tuple[int, str, int, int]]] = [[], []]
    sources = sorted(driver.plain.sources)
    readers = [threading.Thread(target=_read_on, args=(driver.net, sources, done, notes)) for notes in seen]
    for reader in readers:
        reader.start()
    try:
        kept = 0, first
        for number in range(1, changes + 1):
            driver.change()
            if number % _COMPARED_EVERY == 0:
                driver.compare()
            if number % _REBUILT_EVERY == 0:
                driver.compare_with_one_built_from_nothing()
                _as_it_was(driver, *kept)
                kept = driver.net.version, driver.plain.copy()
    finally:
        done.set()
        for reader in readers:
            reader.join()
    for before, code, count, after in (note for notes in seen for note in notes):
        between = driver.counts[before : after + 2]  # a change shows before its number does
        assert count in {counts[code] for counts in between}
    assert all(len(notes) > 10 for notes in seen)
    assert driver.net.version > changes // 2
    while driver.net.undo():
        pass
    driver.plain = first
    driver.compare()


_PARTS = ("lost", "regained", "changed_feeder", "added", "removed")
_DEVICES_PARTS = ("devices_lost", "devices_regained", "devices_changed_feeder")


@pytest.mark.parametrize("dual_fed", [0, 12])
def test_a_difference_from_the_past_is_the_one_from_a_stranger(dual_fed: int) -> None:
    driver = Driver(seed=20260302, dual_fed=dual_fed)
    found: set[str] = set()
    for number in range(40):
        before = driver.net.version
        for _ in range(1 + number % 4):
            driver.change()
        past = driver.net.as_of(before)
        stranger = Topology.from_columns(past.columns)
        one, other = driver.net.difference(past), driver.net.difference(stranger)
        for part in (*_PARTS, *_DEVICES_PARTS):
            assert list(getattr(one, part)) == list(getattr(other, part))
            found |= {part} if len(getattr(one, part)) else set()
    assert found == {*_PARTS, *_DEVICES_PARTS}
