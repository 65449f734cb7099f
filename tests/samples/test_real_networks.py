"""The shipped networks: whole, licensed, and read as their sources mean them."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from importlib.resources import files

import networkx as nx
import pytest

from oms_topology import Topology, samples
from oms_topology.errors import TopologyError

RADIAL = ("ieee123", "ieee9500", "mv_oberrhein", "smartds_p1uhs23")


@pytest.fixture(scope="module", params=samples.names())
def named(request: pytest.FixtureRequest) -> tuple[str, Topology]:
    return request.param, samples.load(request.param)


def _devices_only(net: Topology) -> nx.DiGraph:
    graph = net.graph
    return graph.subgraph([node for node, kind in graph.nodes(data="kind") if kind != "meter"])


def test_nothing_is_left_out(named: tuple[str, Topology]) -> None:
    name, net = named
    tables = samples.tables(name)
    assert list(net.devices) == tables["nodes"]["id"]
    assert sorted(net.meters) == sorted(tables["customers"]["id"])
    assert len(net.energised) == len(net.meters)
    assert len(net.columns.branch_from) == len(tables["edges"]["from"])


@pytest.mark.parametrize("name", RADIAL)
def test_normal_parents_are_those_of_the_source(name: str) -> None:
    graph, nodes = _devices_only(samples.load(name)), samples.tables(name)["nodes"]
    for node, parent in zip(nodes["id"], nodes["parent"], strict=True):
        assert list(graph.predecessors(node)) == ([parent] if parent else [])


def test_hops_are_those_of_the_source_even_in_meshes(named: tuple[str, Topology]) -> None:
    name, net = named
    nodes = samples.tables(name)["nodes"]
    above = dict(zip(nodes["id"], nodes["parent"], strict=True))
    for node in nodes["id"][::7]:
        hops, at = 0, node
        while at := above[at]:
            hops += 1
        assert len(net.upstream(node)) == hops


def test_every_device_has_below_it_what_networkx_finds(named: tuple[str, Topology]) -> None:
    _, net = named
    graph = net.graph
    for device in net.devices[::23]:
        below = {node for node in nx.descendants(graph, device) if graph.nodes[node]["kind"] == "meter"}
        assert set(net.downstream(device)) == below


def test_findings_are_the_known_ones() -> None:
    found = {
        name: {finding.rule: finding.count for finding in samples.load(name).validate()}
        for name in samples.names()
    }
    assert {name: rules for name, rules in found.items() if rules} == {
        "lv_schutterwald": {"loop": 1},
        "na_lv_secondary_network": {"loop": 71},
    }


def test_words_of_the_trade_on_ieee9500() -> None:
    net = samples.load("ieee9500")
    assert len(net.meters) == 1275
    assert len(net.switches) == 109
    assert sum(net.is_open(switch, state="normal") for switch in net.switches) == 11
    assert net.meters.count_by("feeder") == {"e203026": 532, "m1047300": 475, "e192860": 268}
    assert max(Counter(net.meters.count_by("distribution_point"))) in net.devices
    longest = max(len(net.upstream(meter)) for meter in net.meters)
    assert longest == 189
    assert all(feature["geometry"] for feature in net.meters.to_geojson()["features"])


def test_a_tie_restores_part_of_a_feeder_of_ieee9500() -> None:
    net = samples.load("ieee9500")
    ties = [switch for switch in net.switches if net.is_open(switch)]
    restored = 0
    for switch in net.switches:
        if switch in ties or not len(net.downstream(switch)):
            continue
        dark = net.what_if(open=[switch])
        for tie in ties:
            restored = max(restored, len(dark.what_if(close=[tie]).energised - dark.energised))
    assert restored > 100


def test_lv_schutterwald_has_fourteen_sources() -> None:
    net = samples.load("lv_schutterwald")
    assert len(net.codes("substation")) == 14
    assert sum(len(net.downstream(source)) for source in net.codes("substation")) == 1506
    by_feeder = net.meters.count_by("feeder")
    assert len(net.codes("feeder")) == 66
    assert by_feeder[""] == 1, "one connection hangs on a transformer's own busbar, before any switch"


def test_a_meshed_network_backs_itself_up() -> None:
    net = samples.load("na_lv_secondary_network")
    transformers = [code for code in net.codes("section") if code in net.upstream(next(iter(net.meters)))]
    assert any(len(net.impact(code).backed_up) for code in transformers)
    assert len(net.impact("p1").lost) == 624


def test_an_unknown_sample_names_the_known_ones() -> None:
    with pytest.raises(TopologyError, match="ieee9500"):
        samples.load("ieee13")


def test_notices_are_shipped() -> None:
    notice = files("oms_topology.samples").joinpath("data", "NOTICE").read_text(encoding="utf-8")
    for name in samples.names():
        assert name in notice
    for owner in (
        "Electric Power Research Institute",
        "University of Kassel",
        "National Renewable Energy Laboratory",
    ):
        assert owner in notice


def test_loading_needs_no_connection() -> None:
    code = (
        "import socket\n"
        "def refuse(*_, **__): raise OSError('no network')\n"
        "socket.socket.connect = refuse\n"
        "import oms_topology as omt\n"
        "assert len(omt.samples.load('ieee9500').meters) == 1275"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
