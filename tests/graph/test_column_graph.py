"""The graph on columns is, for NetworkX, the frozen graph of dictionaries that it replaces."""

from __future__ import annotations

import copy
import pickle
import sys
from typing import Any

import networkx as nx
import numpy as np
import pytest

from oms_topology import Topology
from oms_topology.graph.drawing.column_graph import ColumnGraph

TOWN = "SS1 > F1 >SW1> DP1 > M1..M3; F1 > DP2 > M4; SS1 > F2 > DP3 > M5, M6; DP2 /T1/ DP1; DP3 /T2/ DP2"


@pytest.fixture
def town() -> Topology:
    return Topology.from_text(TOWN)


@pytest.fixture
def graph(town: Topology) -> nx.DiGraph[Any]:
    return town.graph


def shared_codes() -> Topology:
    return Topology.from_frames(
        substations={"substation_id": ["17"]},
        feeders={"feeder_id": ["17", "18"], "substation_id": ["17", "17"]},
        meters={"meter_number": [17, 99, 18], "feeder_id": [18, 17, 18]},
    )


MUTATIONS = {
    "add_node": ("X",),
    "add_nodes_from": (["X"],),
    "remove_node": ("M1",),
    "remove_nodes_from": (["M1"],),
    "add_edge": ("F1", "M4"),
    "add_edges_from": ([("F1", "M4")],),
    "add_weighted_edges_from": ([("F1", "M4", 1)],),
    "remove_edge": ("F1", "DP1"),
    "remove_edges_from": ([("F1", "DP1")],),
    "update": ([("F1", "M4")],),
    "clear": (),
    "clear_edges": (),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_every_mutator_is_refused(graph: nx.DiGraph[Any], name: str) -> None:
    before = graph.copy()
    with pytest.raises(nx.NetworkXError, match="Frozen"):
        getattr(graph, name)(*MUTATIONS[name])
    assert nx.utils.graphs_equal(before, graph)
    assert nx.is_frozen(graph)


def test_no_mutator_of_networkx_was_forgotten() -> None:
    frozen = nx.freeze(nx.DiGraph())
    forbidden = {name for name, value in vars(frozen).items() if callable(value)}
    assert forbidden <= set(MUTATIONS)


def test_attributes_are_read_only_dictionaries(graph: nx.DiGraph[Any]) -> None:
    for facts in (graph.nodes["DP1"], graph.nodes["M1"], graph.edges["F1", "DP1"], graph["DP1"]["M1"]):
        assert isinstance(facts, dict)
        for change in (
            lambda facts=facts: facts.update(kind="x"),
            lambda facts=facts: facts.__setitem__("kind", "x"),
            lambda facts=facts: facts.pop("kind"),
            lambda facts=facts: facts.__ior__({"kind": "x"}),
            facts.clear,
        ):
            with pytest.raises(nx.NetworkXError):
                change()
        assert type(facts.copy()) is dict
        assert type(copy.deepcopy(facts)) is dict
        assert pickle.loads(pickle.dumps(facts)).keys() == facts.keys()
    with pytest.raises(nx.NetworkXError):
        nx.set_node_attributes(graph, 1, "weight")
    with pytest.raises(nx.NetworkXError):
        nx.set_edge_attributes(graph, 1, "weight")


def test_the_graph_has_attributes_of_its_own(town: Topology) -> None:
    town.graph.graph["title"] = "town"
    assert town.graph.graph == {"title": "town"}
    town.open("SW1")
    assert town.graph.graph == {}


def test_its_class_makes_ordinary_graphs(graph: nx.DiGraph[Any]) -> None:
    made = type(graph)()
    made.add_edge("A", "B", weight=2)
    assert list(made.edges(data="weight")) == [("A", "B", 2)]
    assert type(made) is nx.DiGraph
    assert type(type(graph)([(1, 2)], name="pair")) is nx.DiGraph
    assert isinstance(graph, ColumnGraph)


def test_copies_can_be_changed_and_keep_everything(graph: nx.DiGraph[Any]) -> None:
    for made in (graph.copy(), nx.DiGraph(graph), graph.to_directed(), graph.subgraph(list(graph)).copy()):
        assert nx.utils.graphs_equal(made, graph)
        assert list(made) == list(graph)
        assert list(made.edges) == list(graph.edges)
        made.add_edge("F1", "M9", kind="service")
        made.nodes["DP1"]["kind"] = "other"
        made["F1"]["DP1"]["code"] = "other"
    assert "M9" not in graph
    assert graph.nodes["DP1"]["kind"] == "distribution_point"
    assert graph["F1"]["DP1"]["code"] == "SW1"


def test_reverse_and_undirected(graph: nx.DiGraph[Any]) -> None:
    plain = graph.copy()
    for turned in (graph.reverse(), graph.reverse(copy=False), nx.reverse_view(graph)):
        assert set(turned.edges) == {(end, start) for start, end in graph.edges}
        assert turned["DP1"] == plain.reverse()["DP1"]
    assert nx.utils.edges_equal(
        graph.to_undirected().edges(data=True), plain.to_undirected().edges(data=True)
    )
    assert nx.is_frozen(graph.reverse(copy=False))
    view = nx.subgraph_view(graph, filter_node=lambda node: graph.nodes[node]["kind"] != "meter")
    assert list(view) == ["SS1", "F1", "DP1", "DP2", "F2", "DP3"]
    assert set(graph.subgraph(["F1", "DP1", "M1"]).edges) == {("F1", "DP1"), ("DP1", "M1")}
    assert set(graph.edge_subgraph([("F1", "DP1")]).nodes) == {"F1", "DP1"}


def test_pickles_and_deep_copies_are_equal_and_frozen(town: Topology) -> None:
    town.remove_meter("M2")
    town.graph.graph["title"] = "town"
    for net in (town, shared_codes()):
        graph = net.graph
        for again in (pickle.loads(pickle.dumps(graph)), copy.deepcopy(graph), copy.copy(graph)):
            assert type(again) is ColumnGraph
            assert nx.utils.graphs_equal(again, graph)
            assert list(again.edges) == list(graph.edges)
            assert again.graph == graph.graph
            assert all(again.has_node(node) for node in graph)
            assert "M2" not in again
            with pytest.raises(nx.NetworkXError):
                again.add_node("X")


def test_views_behave_like_those_of_dictionaries(graph: nx.DiGraph[Any]) -> None:
    plain = graph.copy()
    assert len(graph) == graph.number_of_nodes() == graph.order() == len(plain)
    assert graph.size() == graph.number_of_edges() == len(graph.edges) == plain.size() == 11
    assert graph.number_of_edges("F1", "DP1") == 1
    assert graph.size(weight="weight") == plain.size(weight="weight")
    assert list(graph.degree) == list(plain.degree)
    assert list(graph.in_degree) == list(plain.in_degree)
    assert list(graph.out_degree(["F1", "M1"])) == list(plain.out_degree(["F1", "M1"]))
    assert list(graph.edges(data="code", default="?")) == list(plain.edges(data="code", default="?"))
    assert list(graph.in_edges("DP1", data=True)) == list(plain.in_edges("DP1", data=True))
    assert list(graph.adjacency()) == list(plain.adjacency())
    assert graph.adj == plain.adj
    assert graph.pred == plain.pred
    assert plain.succ == graph.succ
    assert graph.get_edge_data("F1", "DP1") == {"kind": "switch", "code": "SW1"}
    assert graph.get_edge_data("F1", "M1") is None
    assert graph._adj["DP1"].copy() == {f"M{number}": {"kind": "service", "code": ""} for number in (1, 2, 3)}
    assert repr(graph._adj["DP2"]) == repr(plain._adj["DP2"])
    items = graph._adj.items()
    assert list(items) == list(items)
    assert ("DP2", {"M4": {"kind": "service", "code": ""}}) in items
    assert str(graph) == "ColumnGraph with 12 nodes and 11 edges"


@pytest.mark.parametrize("stranger", ["F9", "", "SW1", 17, None, ("feeder", "F1"), ("feeder",), 1.5])
def test_what_is_no_node(graph: nx.DiGraph[Any], stranger: Any) -> None:
    assert stranger not in graph
    assert not graph.has_edge("F1", stranger)
    assert not graph.has_edge(stranger, "F1")
    for ask in (graph.nodes.__getitem__, graph.__getitem__, graph["F1"].__getitem__, graph.pred.__getitem__):
        with pytest.raises(KeyError):
            ask(stranger)
    with pytest.raises(nx.NetworkXError):
        graph.successors(stranger)


def test_what_has_no_hash_is_an_error_as_in_a_dictionary(graph: nx.DiGraph[Any]) -> None:
    assert [] not in graph
    for ask in (graph.nodes.__getitem__, graph.__getitem__):
        with pytest.raises(TypeError, match="unhashable"):
            ask(["F1"])
    assert list(graph.nbunch_iter(["F1", "F9", "M1"])) == ["F1", "M1"]
    with pytest.raises(nx.NetworkXError):
        list(graph.nbunch_iter(17))


def test_other_kinds_of_str_are_nodes_too(graph: nx.DiGraph[Any]) -> None:
    assert np.str_("F1") in graph
    assert np.str_("M1") in graph["DP1"]


def test_codes_of_several_kinds_are_pairs() -> None:
    graph = shared_codes().graph
    assert list(graph) == [
        ("substation", "17"),
        ("feeder", "17"),
        ("feeder", "18"),
        ("meter", "17"),
        "99",
        ("meter", "18"),
    ]
    assert list(graph.edges) == [
        (("substation", "17"), ("feeder", "17")),
        (("substation", "17"), ("feeder", "18")),
        (("feeder", "17"), "99"),
        (("feeder", "18"), ("meter", "17")),
        (("feeder", "18"), ("meter", "18")),
    ]
    assert "17" not in graph
    assert ("switch", "17") not in graph
    assert nx.descendants(graph, ("feeder", "18")) == {("meter", "17"), ("meter", "18")}


def test_a_graph_given_does_not_change_with_the_network(town: Topology) -> None:
    graph = town.graph
    before = graph.copy()
    town.add_meter("F1", "DP1")
    town.add_meter("M7", "DP1")
    town.move_meter("M1", "DP3")
    town.remove_meter("M2")
    town.open("SW1")
    town.close("T1")
    assert nx.utils.graphs_equal(graph, before)
    assert "F1" in graph
    assert "M2" in graph
    assert "M7" not in graph
    assert ("feeder", "F1") not in graph
    assert list(graph["DP1"]) == ["M1", "M2", "M3"]
    assert ("feeder", "F1") in town.graph
    assert "F1" not in town.graph
    assert "M2" not in town.graph
    assert set(town.graph["DP3"]) == {"M1", "M5", "M6"}
    assert len(town.graph) == len(before) + 1


def test_a_graph_given_does_not_change_when_devices_come_and_go(town: Topology) -> None:
    given = [town.graph]
    copies = [town.graph.copy()]
    town.remove_meter("M4")
    changes = [
        lambda: town.remove_device("DP2"),
        lambda: town.add_device("DP2", kind="section", parent="F2"),
        lambda: town.add_meter("M4", "DP2"),
        lambda: town.refeed("DP3", "F1"),
        lambda: town.add_device("M1", kind="feeder", parent="SS1"),
        lambda: town.remove_device("M1", kind="feeder"),
    ]
    for change in changes:
        change()
        given.append(town.graph)
        copies.append(town.graph.copy())
        for graph, kept in zip(given, copies, strict=True):
            assert nx.utils.graphs_equal(graph, kept)
            assert list(graph.edges) == list(kept.edges)
            assert all(node in graph for node in kept)
    assert ["DP2" in graph for graph in given] == [True, False, True, True, True, True, True]
    assert [list(graph.pred["DP2"]) for graph in given if "DP2" in graph] == [["F1"], *[["F2"]] * 5]
    assert [("meter", "M1") in graph for graph in given] == [False] * 5 + [True, False]
    assert ["M1" in graph for graph in given] == [True] * 5 + [False, True]


def test_what_has_no_supply_stands_alone(town: Topology) -> None:
    town.open("SW1")
    graph = town.graph
    assert graph.degree("DP1") == graph.degree("M1") == 0
    assert set(nx.isolates(graph)) == {"DP1", "M1", "M2", "M3"}
    assert nx.number_weakly_connected_components(graph) == 5


def test_drawing_and_holding_a_graph_costs_nothing_per_node() -> None:
    count = 20_000
    net = Topology.from_frames(
        substations={"substation_id": ["SS1"]},
        feeders={"feeder_id": ["F1"], "substation_id": ["SS1"]},
        meters={"meter_number": [f"M{row}" for row in range(count)], "feeder_id": ["F1"] * count},
    )
    graph = net.graph
    seen = {id(net)}
    own = [graph._node, graph._adj, graph._pred, graph._names, graph._facts, graph._tree]
    assert sum(sys.getsizeof(each) for each in own if id(each) not in seen) < 2_000
    assert len(graph["F1"]) == count


def test_a_deep_chain_is_read_without_recursion() -> None:
    net = Topology.from_text("SS1 > " + " > ".join(f"L{row}" for row in range(3_000)) + " > M1")
    graph = net.graph
    assert len(nx.ancestors(graph, "M1")) == 3_001
    assert nx.dag_longest_path_length(graph) == 3_001
    assert len(pickle.loads(pickle.dumps(graph))) == 3_002


def test_an_empty_network_is_an_empty_graph() -> None:
    graph = Topology.from_frames(substations=None, feeders=None).graph
    assert list(graph) == list(graph.edges) == []
    assert nx.is_empty(graph)
    assert type(graph.copy()) is nx.DiGraph
