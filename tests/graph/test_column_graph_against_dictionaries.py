"""Random networks under random changes: the graph on columns equals one of dictionaries in every respect."""

from __future__ import annotations

import pickle
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms_topology import Topology
from oms_topology.errors import TopologyError
from oms_topology.graph.drawing import directed as directed_room
from oms_topology.graph.drawing.column_graph import ColumnGraph
from oms_topology.graph.drawing.directed import directed_graph
from oms_topology.graph.nx_backend.interface import BACKEND
from oms_topology.graph.reading.cleaning import GONE
from oms_topology.model import NetworkColumns

if TYPE_CHECKING:
    from collections.abc import Callable

    from oms_topology.graph.engine.index import SupplyIndex


def dictionary_graph(index: SupplyIndex) -> nx.DiGraph[Any]:
    """Build the graph node by node and edge by edge: what the views have to look like."""
    columns, shared = index.network.columns, index.network.names.shared
    graph: nx.DiGraph[Any] = nx.DiGraph()
    devices = [
        (kind, code) if code in shared else code
        for kind, code in zip(columns.device_kind, columns.device_code, strict=True)
    ]
    meters = [("meter", number) if number in shared else number for number in columns.meter_number.tolist()]
    for row in np.flatnonzero(~index.network.is_gone).tolist():
        graph.add_node(
            devices[row],
            kind=columns.device_kind[row],
            name=columns.device_name[row],
            longitude=float(columns.device_longitude[row]),
            latitude=float(columns.device_latitude[row]),
        )
    for row in np.flatnonzero(columns.meter_device != GONE).tolist():
        graph.add_node(meters[row], kind="meter")
    for device in index.forest.order.tolist():
        branch = index.forest.parent_branch[device]
        if branch >= 0:
            facts = {"kind": columns.branch_kind[branch], "code": columns.branch_code[branch]}
            graph.add_edge(devices[index.forest.parent[device]], devices[device], **facts)
    for meter in index.meter_order[: index.supplied].tolist():
        graph.add_edge(devices[index.meter_feed[meter]], meters[meter], kind="service", code="")
    return graph


@st.composite
def networks(draw: st.DrawFn) -> NetworkColumns:
    """Loops, ties, islands, several sources, codes that kinds share."""
    count = draw(st.integers(1, 10))
    kinds = draw(
        st.lists(st.sampled_from(["substation", "feeder", "section"]), min_size=count, max_size=count)
    )
    codes = [f"{draw(st.sampled_from('abc'))}{row}" for row in range(count)]
    if draw(st.booleans()):
        codes = [draw(st.sampled_from(["17", code])) for code in codes]
    rows = st.integers(0, count - 1)
    branches = draw(st.lists(st.tuples(rows, rows).filter(lambda ends: ends[0] != ends[1]), max_size=14))
    meters = draw(st.lists(st.integers(-1, count - 1), max_size=8))
    numbers = [f"m{row}" for row in range(len(meters))]
    if numbers and draw(st.booleans()):
        numbers[0] = draw(st.sampled_from(["17", codes[0], "sw0"]))
    alternates = (
        draw(st.lists(st.tuples(st.integers(0, max(len(meters) - 1, 0)), rows), max_size=3)) if meters else []
    )
    degrees = st.floats(-90, 90) | st.just(float("nan"))
    return NetworkColumns(
        device_kind=np.array(kinds, dtype=object),
        device_code=np.array(codes, dtype=object),
        device_name=np.array([draw(st.sampled_from(["", "North"])) for _ in codes], dtype=object),
        device_longitude=np.array([draw(degrees) for _ in codes]),
        device_latitude=np.array([draw(degrees) for _ in codes]),
        device_is_source=np.array([draw(st.integers(0, 3)) == 0 for _ in codes], dtype=np.bool_),
        branch_from=np.array([start for start, _ in branches], dtype=np.int32),
        branch_to=np.array([end for _, end in branches], dtype=np.int32),
        branch_code=np.array([f"sw{row}" for row in range(len(branches))], dtype=object),
        branch_is_switch=np.full(len(branches), True),
        branch_normally_open=np.array([draw(st.integers(0, 4)) == 0 for _ in branches], dtype=np.bool_),
        meter_number=np.array(numbers, dtype=object),
        meter_device=np.array(meters, dtype=np.int32),
        alternate_meter=np.array([meter for meter, _ in alternates], dtype=np.int32),
        alternate_device=np.array([device for _, device in alternates], dtype=np.int32),
    )


def drawn(net: Topology) -> tuple[ColumnGraph, SupplyIndex]:
    """Give a network's graph and the index that it was drawn from."""
    seen: list[SupplyIndex] = []

    def draw(index: SupplyIndex) -> nx.DiGraph[Any]:
        seen.append(index)
        return directed_graph(index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(directed_room, "directed_graph", draw)
        graph = net.graph
    assert isinstance(graph, ColumnGraph)
    return graph, seen[-1]


def change(net: Topology, data: st.DataObject) -> None:
    """Switch, move, feed elsewhere, take out and put in, whatever the network lets us."""
    for _ in range(data.draw(st.integers(0, 4))):
        with suppress(TopologyError):
            change_once(net, data)


def change_once(net: Topology, data: st.DataObject) -> None:
    meters, devices = sorted(net.meters), sorted(net.devices)
    number = data.draw(st.sampled_from([*meters, "m_new", "17", *devices[:1]]))
    device, other = (data.draw(st.sampled_from([*devices, "d_new", "17"])) for _ in range(2))
    acts: list[Callable[[], object]] = [
        lambda: net.remove_meter(number),
        lambda: net.add_meter(number, device),
        lambda: net.move_meter(number, device),
        lambda: net.remove_device(device),
        lambda: net.add_device(device, kind="section", parent=other),
        lambda: net.add_device(device, kind="feeder"),
        lambda: net.refeed(device, other),
        net.undo,
    ]
    if net.switches:
        switch = data.draw(st.sampled_from(sorted(net.switches)))
        acts += [lambda: net.close(switch), lambda: net.open(switch)]
    data.draw(st.sampled_from(acts))()


def assert_same(graph: nx.DiGraph[Any], plain: nx.DiGraph[Any]) -> None:
    """Compare two graphs by content and by order."""
    assert repr(list(graph.nodes(data=True))) == repr(list(plain.nodes(data=True)))
    assert list(graph.edges(data=True)) == list(plain.edges(data=True))
    assert list(graph.in_edges(data=True)) == list(plain.in_edges(data=True))
    for mine, theirs in ((graph._adj, plain._adj), (graph._pred, plain._pred)):
        assert list(mine) == list(theirs)
        assert mine == theirs
        assert [list(each) for each in mine.values()] == [list(each) for each in theirs.values()]
        assert [len(each) for each in mine.values()] == [len(each) for each in theirs.values()]
    for node in plain:
        assert repr(graph.nodes[node]) == repr(plain.nodes[node])
        assert graph[node] == plain[node]
        assert graph.pred[node] == plain.pred[node]
        assert [graph.has_edge(node, other) for other in plain] == [
            plain.has_edge(node, other) for other in plain
        ]
    assert list(graph.degree) == list(plain.degree)
    assert (len(graph), graph.size()) == (len(plain), plain.size())


ALGORITHMS: list[Callable[[nx.DiGraph[Any]], Any]] = [
    lambda graph: list(nx.topological_sort(graph)),
    lambda graph: [set(each) for each in nx.weakly_connected_components(graph)],
    lambda graph: {node: nx.descendants(graph, node) for node in graph},
    lambda graph: {node: nx.ancestors(graph, node) for node in graph},
    lambda graph: dict(nx.all_pairs_shortest_path_length(graph)),
    nx.dag_longest_path,
    nx.pagerank,
    nx.betweenness_centrality,
    lambda graph: nx.to_numpy_array(graph).tolist(),
    lambda graph: list(nx.dfs_preorder_nodes(graph)),
    lambda graph: list(nx.strongly_connected_components(graph)),
    lambda graph: nx.to_dict_of_dicts(graph),
    lambda graph: list(nx.generate_edgelist(graph)),
    lambda graph: nx.node_link_data(graph, edges="links")["links"],
    lambda graph: nx.closeness_centrality(graph.reverse()),
    lambda graph: sorted(map(len, nx.connected_components(graph.to_undirected()))),
    lambda graph: nx.is_isomorphic(graph, graph.copy()),
    lambda graph: nx.DiGraph(graph)._adj,
    lambda graph: graph.copy()._adj,
    lambda graph: list(nx.line_graph(graph).edges),
    lambda graph: list(nx.transitive_closure(graph).edges),
    lambda graph: nx.maximal_independent_set(graph.to_undirected(), seed=1) if graph else [],
]


@settings(max_examples=120, deadline=None)
@given(networks(), st.data())
def test_graph_equals_one_of_dictionaries(columns: NetworkColumns, data: st.DataObject) -> None:
    net = Topology.from_columns(columns)
    change(net, data)
    graph, index = drawn(net)
    plain = dictionary_graph(index)
    assert_same(graph, plain)
    for algorithm in ALGORITHMS:
        assert algorithm(graph) == algorithm(plain)
    change(net, data)
    assert_same(graph, plain)
    assert_same(pickle.loads(pickle.dumps(graph)), plain)


@settings(max_examples=60, deadline=None)
@given(networks(), st.data())
def test_graph_of_rows_is_the_same_graph(columns: NetworkColumns, data: st.DataObject) -> None:
    net = Topology.from_columns(columns)
    change(net, data)
    graph, index = drawn(net)
    rows = directed_graph(index, nodes="rows")
    plain = nx.relabel_nodes(dictionary_graph(index), {node: graph._names.row(node) for node in graph})
    assert_same(rows, plain)
    assert_same(pickle.loads(pickle.dumps(rows)), plain)
    strangers: list[Any] = [-1, len(columns.device_code) + len(net.columns.meter_number) + 5, "0", None, 0.5]
    assert not any(stranger in rows for stranger in strangers)
    assert all(np.int32(row) in rows and float(row) in rows for row in plain)


@settings(max_examples=60, deadline=None)
@given(networks(), st.data())
def test_conversion_there_and_back(columns: NetworkColumns, data: st.DataObject) -> None:
    net = Topology.from_columns(columns)
    change(net, data)
    _, index = drawn(net)
    plain = dictionary_graph(index)
    plain.graph["title"] = "random"
    keep = dict.fromkeys(("preserve_edge_attrs", "preserve_node_attrs", "preserve_graph_attrs"), True)
    converted = BACKEND.convert_from_nx(plain, **keep)
    assert_same(converted, plain)
    assert_same(BACKEND.convert_to_nx(converted), plain)
    assert converted.graph == {"title": "random"}
    bare = BACKEND.convert_from_nx(plain, edge_attrs={"kind": 1, "length_m": 7}, node_attrs={"name": None})
    assert list(bare.edges(data=True)) == [
        (start, end, {"kind": facts["kind"], "length_m": 7}) for start, end, facts in plain.edges(data=True)
    ]
    assert all(facts.keys() <= {"name"} for _, facts in bare.nodes(data=True))
