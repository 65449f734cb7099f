"""Traces on real networks and on very deep ones, against plain NetworkX and against trying it out."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
import pytest

from oms_topology import Topology, samples
from oms_topology.graph.engine.network import Network
from oms_topology.graph.traces import landmarks as landmarks_module
from oms_topology.model import NetworkColumns

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="module")
def ieee9500() -> Topology:
    return samples.load("ieee9500")


def _undirected(net: Topology, *, with_switches: bool) -> nx.Graph:
    columns = net.columns
    graph = nx.Graph()
    graph.add_nodes_from(columns.device_code.tolist())
    chosen = ~columns.branch_is_open & (with_switches | ~columns.branch_is_switch)
    for row in np.flatnonzero(chosen).tolist():
        graph.add_edge(*(columns.device_code[end[row]] for end in (columns.branch_from, columns.branch_to)))
    return graph


def _one_device_per_section(net: Topology) -> list[str]:
    return [min(part) for part in nx.connected_components(_undirected(net, with_switches=False))]


def test_every_way_up_is_the_graph_s(ieee9500: Topology) -> None:
    graph, columns = ieee9500.graph, ieee9500.columns
    switch_between = {
        frozenset(
            (columns.device_code[columns.branch_from[row]], columns.device_code[columns.branch_to[row]])
        ): (columns.branch_code[row])
        for row in np.flatnonzero(columns.branch_is_switch & ~columns.branch_is_open).tolist()
    }
    meters = list(ieee9500.meters)[::25]
    switches = ieee9500.paths_of(meters, ["switch"])
    guards = ieee9500.next_protective_of(meters, kinds=["switch"])
    deepest = 0
    for meter, steps, guard in zip(meters, switches, guards, strict=True):
        way = [meter, *ieee9500.upstream(meter)]
        assert nx.is_path(graph, way[::-1])
        deepest = max(deepest, len(way))
        pairs = map(frozenset, itertools.pairwise(way[1:]))
        expected = [switch_between[pair] for pair in pairs if pair in switch_between]
        assert [step.code for step in steps] == expected
        assert ieee9500.protection_path(meter, kinds=["switch"]) == expected
        assert guard == ieee9500.next_protective(meter, kinds=["switch"]) == (expected or [None])[0]
        devices = [step.code for step in ieee9500.path(meter) if step.code not in expected]
        assert devices == way[1:]
    assert deepest > 150
    assert ieee9500.next_protective(meters[0]) is None  # the data call every switch just "switch"


def test_sections_are_what_remains_connected_without_switches(ieee9500: Topology) -> None:
    parts = list(nx.connected_components(_undirected(ieee9500, with_switches=False)))
    assert len(parts) > 50
    isolations = ieee9500.isolating_switches_of([min(part) for part in parts])
    for part, isolation in zip(parts, isolations, strict=True):
        assert set(isolation.devices) == part
        without = ieee9500.what_if(open=isolation.switches)
        lost = ieee9500.difference(without)  # what would come back by closing them again
        outside = {
            meter
            for meter in lost.regained
            if without.upstream(meter) == [] and meter not in isolation.meters
        }
        assert set(isolation.also_lost) == outside
        assert not without.impact(min(part)).total or isolation.sources


@pytest.mark.parametrize("name", ["ieee9500", "lv_schutterwald", "mv_oberrhein"])
def test_ties_pick_up_what_closing_them_does(name: str) -> None:
    net = samples.load(name)
    sections = sorted(_one_device_per_section(net))
    sections = sections[:: len(sections) // 12]
    tied = 0
    for device, plan in zip(sections, net.restorations_of(sections), strict=True):
        around = set(net.isolating_switches(device).open_switches)
        dark = net.what_if(open=plan.switches_to_open)
        usable = [switch for switch in net.switches if net.is_open(switch) and switch not in around]
        found = {tie.switch: set(tie.meters) for tie in plan.ties if not tie.after}
        for switch in usable:
            gain = set(dark.what_if(close=[switch]).energised) - set(dark.energised)
            assert found.get(switch, set()) == gain
        everything = dark.what_if(close=usable)
        assert set(plan.restorable) == set(everything.energised) - set(dark.energised)
        assert not set(plan.unrestorable) & set(everything.energised)
        for tie in plan.ties:
            assert tie.load_kw == pytest.approx(_load(net, set(tie.meters)))
        tied += len(plan.ties)
    assert tied > 0


def _load(net: Topology, meters: set[str]) -> float:
    columns = net.columns
    pairs = zip(columns.meter_number.tolist(), columns.meter_attributes["kw"].tolist(), strict=True)
    return sum(float(value) for number, value in pairs if number in meters)


def test_a_meshed_network_holds_what_a_section_would_take() -> None:
    net = samples.load("na_lv_secondary_network")
    device = str(net.columns.device_code[net.columns.meter_device[0]])
    isolation = net.isolating_switches(device)
    impact = net.impact(list(isolation.devices))
    assert set(isolation.also_lost) == set(impact.lost) - set(isolation.meters)
    assert set(isolation.backed_up) == set(impact.backed_up)
    assert net.dead_islands() == []


def _chain(length: int, switch_every: int = 100) -> NetworkColumns:
    rows = np.arange(length - 1, dtype=np.int32)
    is_switch = (rows % switch_every) == 0
    kinds = np.where(is_switch, "fuse", "line").astype(object)
    codes = np.array([f"FU{row}" if flag else "" for row, flag in enumerate(is_switch)], dtype=object)
    is_source = np.zeros(length, dtype=np.bool_)
    is_source[[0, -1]] = True
    normally_open = rows == rows[-1]
    kinds[-1], codes[-1] = "switch", "TIE"
    return NetworkColumns(
        device_kind=np.array(["substation", *["section"] * (length - 2), "substation"], dtype=object),
        device_code=np.array([f"d{row}" for row in range(length)], dtype=object),
        device_is_source=is_source,
        branch_from=rows,
        branch_to=rows + 1,
        branch_kind=kinds,
        branch_code=codes,
        branch_is_switch=is_switch | normally_open,
        branch_normally_open=normally_open,
        branch_phases=np.where(rows == 2_500, 2, 7).astype(np.uint8),
        meter_number=np.array([f"m{row}" for row in range(length)], dtype=object),
        meter_device=np.arange(length, dtype=np.int32),
    )


LENGTH = 5_001


@pytest.fixture(scope="module")
def chain() -> Topology:
    return Topology.from_columns(_chain(LENGTH + 1))


def test_a_chain_of_five_thousand(chain: Topology) -> None:
    fuses = [f"FU{row}" for row in range(4_900, -1, -100)]
    assert chain.protection_path("m4999") == fuses
    assert chain.next_protective("d4901") == "FU4900"
    assert [step.code for step in chain.path("d5000", ["substation"])] == ["d0"]
    assert chain.next_protective_of([f"m{row}" for row in range(LENGTH)]) == [
        None if row == 0 else f"FU{(row - 1) // 100 * 100}" for row in range(LENGTH)
    ]
    isolation = chain.isolating_switches("d2450")
    assert isolation.switches == ("FU2400", "FU2500")
    assert len(isolation.devices) == len(isolation.meters) == 100
    assert len(isolation.also_lost) == LENGTH - 2_501
    plan = chain.restoration("d2450")
    assert [(tie.switch, len(tie), tie.feeder) for tie in plan.ties] == [("TIE", LENGTH - 2_501, "d5001")]
    assert len(plan.restorable) == LENGTH - 2_501
    assert not plan.unrestorable
    assert len(chain.downstream_phase("d0", "A")) == 2_501
    assert len(chain.downstream_phase("d0", "B")) == LENGTH
    assert chain.phases("m4000") == "B"
    rows = chain.rows(["d4000", "d4999", "d3000"])
    assert chain.common_upstream_row(rows) == 3_000
    assert chain.count_below(rows).tolist() == [LENGTH - row for row in (4_000, 4_999, 3_000)]
    assert set(chain.energised_by("substation").counts()) == {"d0", "d5001"}


def test_work_follows_what_is_listed_and_not_the_depth(
    chain: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at = _counted(monkeypatch, Network, "branches_at")
    assert len(chain.path("m4999", ["substation"])) == 1
    assert looked_at[0] == 0
    assert len(chain.protection_path("m4999")) == 50
    assert looked_at[0] <= 2 * 50  # a fuse marks both of its ends
    looked_at[0] = 0
    assert chain.next_protective("m4999") == "FU4900"
    assert looked_at[0] <= 2
    looked_at[0] = 0
    chain.isolating_switches("d2450")
    assert looked_at[0] <= 101


def test_each_answer_is_of_one_version_while_a_switch_moves() -> None:
    net = Topology.from_text(
        "SS1 >SW1> F1 > DP1 > M1..M30; F1 >SW2> DP2 > M31..M60; SS1 >SW3> F2; F2 /T1/ DP2"
    )
    closed = net.what_if(open=["SW2"], close=["T1"])
    statuses = np.zeros(60, dtype=np.int8)

    def answers(of: Topology) -> list[str]:
        asked = (
            of.count_below(["F1", "F2", "DP2"]).tolist(),
            of.paths_of(["M31", "M1"]),
            of.histograms_below(["F1", "F2"], statuses).tolist(),
            of.energised_by("feeder").counts(),
            [(tie.switch, len(tie)) for tie in of.ties("SW1")],
            [(island.devices, len(island.meters)) for island in of.dead_islands()],
        )
        return list(map(repr, asked))

    whole = list(zip(answers(net), answers(closed), strict=True))
    stop = threading.Event()

    def switch() -> None:
        while not stop.is_set():
            net._commit(
                [*net._switching(["SW2"], is_open=True), *net._switching(["T1"], is_open=False)], None
            )
            net._commit(
                [*net._switching(["T1"], is_open=True), *net._switching(["SW2"], is_open=False)], None
            )

    writer = threading.Thread(target=switch)
    writer.start()
    try:
        for _ in range(200):
            for answer, either in zip(answers(net), whole, strict=True):
                assert answer in either
    finally:
        stop.set()
        writer.join()


def _counted(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> list[int]:
    calls, original = [0], getattr(owner, name)

    def counting(self: Network, device: int) -> list[int]:
        calls[0] += 1
        return original(self, device)

    monkeypatch.setattr(owner, name, counting)
    return calls


def test_what_is_remembered_follows_changes_without_being_found_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = Topology.from_columns(_chain(300, 1_000))
    assert net.next_protective("m250") == "FU0"
    made: list[Callable[[], object]] = []
    original = landmarks_module._ends_at
    monkeypatch.setattr(landmarks_module, "_ends_at", lambda *args: made.append(1) or original(*args))
    net.add_device("new", kind="section", parent="d200", switch="FUNEW", branch_kind="fuse")
    net.add_meter("mnew", "new")
    assert net.protection_path("mnew") == ["FUNEW", "FU0"]
    net.add_device("below", kind="section", parent="new", branch_kind="line")
    assert [step.code for step in net.path("below", ["fuse"])] == ["FUNEW", "FU0"]
    net.jumper("d0", "d150", code="J1")
    assert net.protection_path("m250", kinds=["fuse", "jumper"]) == ["J1"]
    assert net.what_if(open=["J1"]).protection_path("m250") == ["FU0"]
    net.refeed("new", "d299")
    assert net.undo()
    assert net.protection_path("below") == ["FUNEW"]
    net.remove_jumper("J1")
    assert net.protection_path("below") == ["FUNEW", "FU0"]
    assert len(made) <= 2  # once for each set of kinds that was new


_WITHOUT_NUMBA = """
import os, sys
sys.modules["numba"] = None
os.environ["TRACE_EXAMPLES"] = "15"
from oms_topology.graph.traces import batch_kernels
assert not batch_kernels.is_compiled
from tests.properties import test_traces_against_networkx as traces
for name in dir(traces):
    if name.startswith("test_"):
        getattr(traces, name)()
from tests.graph import test_trace_networks as networks
networks.test_a_chain_of_five_thousand(networks.Topology.from_columns(networks._chain(networks.LENGTH + 1)))
print("as compiled")
"""


def test_without_numba_traces_are_the_same() -> None:
    run = subprocess.run([sys.executable, "-c", _WITHOUT_NUMBA], capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "as compiled", run.stderr
