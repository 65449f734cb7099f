"""The backend's answers are NetworkX's: results, their order, and errors to the letter."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms_topology import Topology
from oms_topology.graph.drawing.column_graph import ColumnGraph
from oms_topology.graph.nx_backend.info import FUNCTIONS, backend_info
from oms_topology.graph.nx_backend.interface import BACKEND
from oms_topology.graph.nx_backend.node_set import NodeSet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NO_NODE = "no such node"


@st.composite
def forests(draw: st.DrawFn) -> nx.DiGraph[Any]:
    """Forests of nodes of several types, inserted in any order, neighbours in any order."""
    count = draw(st.integers(0, 12))
    names: list[Any] = [
        draw(st.sampled_from([row, f"n{row}", (row, "n"), frozenset({row})])) for row in range(count)
    ]
    graph: nx.DiGraph[Any] = nx.DiGraph()
    graph.add_nodes_from(draw(st.permutations(names)))
    edges = [(names[draw(st.integers(-1, row - 1))], names[row]) for row in range(1, count)]
    kept = [(start, end) for start, end in edges if start != names[-1] and draw(st.integers(0, 5))]
    graph.add_edges_from(draw(st.permutations(kept)))
    return graph


@st.composite
def towns(draw: st.DrawFn) -> ColumnGraph:
    """Networks with meters, some without supply."""
    devices = [f"D{row}" for row in range(draw(st.integers(1, 7)))]
    lines = [f"SS1 > {devices[0]}"]
    lines += [
        f"{devices[draw(st.integers(0, row - 1))]} >sw{row}> {devices[row]}" for row in range(1, len(devices))
    ]
    lines += [f"{draw(st.sampled_from(devices))} > M{row}" for row in range(draw(st.integers(0, 8)))]
    net = Topology.from_text("; ".join(lines))
    net.open(*draw(st.sets(st.sampled_from(net.switches))) if net.switches else ())
    if len(net.meters) > 1 and draw(st.booleans()):
        net.remove_meter(next(iter(net.meters)))
    assert isinstance(net.graph, ColumnGraph)
    return net.graph


def outcome(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Give what a call comes to, iterators read to their end; for an error its type and text."""
    try:
        found = function(*args, **kwargs)
        if isinstance(found, nx.DiGraph):
            return list(found.nodes), list(found.edges)
        if isinstance(found, dict):
            return list(found.items())
        return list(found) if hasattr(found, "__next__") else found
    except (nx.NetworkXException, ValueError, TypeError) as error:
        return type(error), str(error)


def calls(plain: nx.DiGraph[Any]) -> Iterator[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    """Give every function with every node, and pairs of nodes, that there are."""
    nodes = [*plain, NO_NODE]
    for name in FUNCTIONS:
        if name in ONE_NODE:
            for node, (extra, values) in product(nodes, ONE_NODE[name].items()):
                yield from ((name, (node,), {extra: value} if extra else {}) for value in values)
        elif name in TWO_NODES:
            yield from ((name, pair, {}) for pair in product(nodes, nodes))
        elif name == "descendants_at_distance":
            yield from ((name, (node, distance), {}) for node, distance in product(nodes, (0, 1, 2, 99, 1.0)))
        elif name == "all_pairs_lowest_common_ancestor":
            pairs = list(product(plain, plain))
            yield from (
                (name, (), {"pairs": chosen}) for chosen in (pairs, [], pairs[:3], [(NO_NODE, NO_NODE)])
            )
        else:
            yield name, (), {}
    for node in nodes:
        yield "shortest_path", (node,), {}
        yield "shortest_path_length", (), {"target": node}
        yield "shortest_path", (), {"target": node}
    yield "shortest_path", (NO_NODE, NO_NODE), {"method": "guess"}
    yield "dag_longest_path_length", (), {"weight": "length_m", "default_weight": 3}


CUTOFFS = {"cutoff": [None, 0, 1, 2, 1.5, -1]}
ONE_NODE: dict[str, dict[str, list[Any]]] = {
    "ancestors": {"": [0]},
    "bfs_edges": {"reverse": [False, True], "depth_limit": [None, 0, 1, 2]},
    "bfs_tree": {"reverse": [False, True], "depth_limit": [None, 1]},
    "descendants": {"": [0]},
    "shortest_path": {"": [0]},
    "shortest_path_length": {"": [0]},
    "single_source_shortest_path": CUTOFFS,
    "single_source_shortest_path_length": CUTOFFS,
    "single_target_shortest_path": CUTOFFS,
    "single_target_shortest_path_length": CUTOFFS,
}
TWO_NODES = {"bidirectional_shortest_path", "has_path", "lowest_common_ancestor"}


def check(graph: ColumnGraph, plain: nx.DiGraph[Any]) -> None:
    for name, args, kwargs in calls(plain):
        theirs = outcome(getattr(nx, name, None) or getattr(nx.dag, name), plain, *args, **kwargs)
        mine = outcome(getattr(BACKEND, name), graph, *args, **kwargs)
        assert mine == theirs, (name, args, kwargs)
        assert type(mine) is type(theirs), (name, args, kwargs)


@settings(max_examples=80, deadline=None)
@given(forests())
def test_every_function_answers_as_networkx_on_converted_forests(plain: nx.DiGraph[Any]) -> None:
    check(BACKEND.convert_from_nx(plain), plain)


@settings(max_examples=80, deadline=None)
@given(towns())
def test_every_function_answers_as_networkx_on_networks(graph: ColumnGraph) -> None:
    check(graph, graph.copy())


@settings(max_examples=60, deadline=None)
@given(towns())
def test_subtrees_listed_again_and_again_stay_the_same(graph: ColumnGraph) -> None:
    plain = graph.copy()
    for _ in range(4):
        for node in plain:
            found = BACKEND.descendants(graph, node)
            assert found == nx.descendants(plain, node)
            found.add("mine to change")


@settings(max_examples=60, deadline=None)
@given(towns(), st.data())
def test_lazy_sets_are_sets(graph: ColumnGraph, data: st.DataObject) -> None:
    plain = graph.copy()
    for node in plain:
        lazy, full = BACKEND.descendants(graph, node, lazy=True), nx.descendants(plain, node)
        assert isinstance(lazy, NodeSet)
        assert lazy == full
        assert full == lazy
        assert len(lazy) == len(list(lazy)) == len(full)
        assert [other in lazy for other in plain] == [other in full for other in plain]
        some = data.draw(st.sets(st.sampled_from(list(plain))))
        assert (lazy & some, lazy | some, lazy - some, lazy ^ some) == (
            full & some,
            full | some,
            full - some,
            full ^ some,
        )
        assert (some & lazy, some - lazy, lazy <= some, lazy.isdisjoint(some)) == (
            some & full,
            some - full,
            full <= some,
            full.isdisjoint(some),
        )
        assert type(lazy & some) is set
        assert NO_NODE not in lazy


@pytest.mark.parametrize(
    ("name", "args", "kwargs"),
    [
        ("shortest_path", ("SS1", "M1"), {"weight": "length_m"}),
        ("shortest_path", (), {}),
        ("shortest_path_length", (), {}),
        ("dag_longest_path", (), {"topo_order": ["SS1", "F1", "M1"]}),
        ("dag_longest_path_length", (), {"weight": "kind"}),
        ("dag_longest_path_length", (), {"default_weight": 0.5}),
        ("all_pairs_lowest_common_ancestor", (), {}),
        ("bfs_edges", ("SS1",), {"sort_neighbors": sorted}),
        ("bfs_tree", ("SS1",), {"sort_neighbors": sorted}),
    ],
)
def test_what_the_index_does_not_know_is_left_to_networkx(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    graph = Topology.from_text("SS1 > F1 > M1").graph
    with pytest.raises(NotImplementedError):
        getattr(BACKEND, name)(graph, *args, **kwargs)


def test_weights_on_edges_are_left_to_networkx() -> None:
    plain = nx.DiGraph([("a", "b", {"weight": 5})])
    converted = BACKEND.convert_from_nx(plain, edge_attrs={"weight": 1})
    with pytest.raises(NotImplementedError):
        BACKEND.dag_longest_path_length(converted)
    assert BACKEND.dag_longest_path_length(converted, weight="length_m") == 1


@pytest.mark.parametrize(
    "graph",
    [
        nx.Graph([(1, 2)]),
        nx.MultiDiGraph([(1, 2)]),
        nx.DiGraph([(1, 3), (2, 3)]),
        nx.DiGraph([(1, 2), (2, 1)]),
        nx.DiGraph([(1, 1)]),
        nx.DiGraph([(0, 1), (1, 2), (2, 1)]),
    ],
)
def test_what_is_no_directed_forest_is_not_converted(graph: Any) -> None:
    with pytest.raises(NotImplementedError):
        BACKEND.convert_from_nx(graph)


def test_which_graphs_are_taken() -> None:
    graph, plain = Topology.from_text("SS1 > F1 > M1").graph, nx.DiGraph([(1, 2)])
    assert BACKEND.can_run("descendants", (graph, "SS1"), {}) is True
    assert BACKEND.should_run("descendants", (), {"G": graph, "source": "SS1"}) is True
    assert BACKEND.can_run("descendants", (plain, 1), {}) is True
    assert BACKEND.should_run("descendants", (plain, 1), {}) is not True
    for other in (nx.Graph([(1, 2)]), nx.MultiDiGraph([(1, 2)]), object()):
        assert BACKEND.can_run("descendants", (other, 1), {}) is not True
    assert BACKEND.convert_from_nx(graph) is graph
    assert BACKEND.convert_to_nx({1, 2}) == {1, 2}
    assert type(BACKEND.convert_to_nx(graph)) is nx.DiGraph


def test_what_is_said_of_the_backend_is_what_it_has() -> None:
    functions = {name for name in vars(BACKEND) if name in nx.utils.backends._registered_algorithms}
    assert functions == set(FUNCTIONS) == set(backend_info()["functions"])
    others = {"convert_from_nx", "convert_to_nx", "can_run", "should_run", "on_start_tests"}
    assert set(vars(BACKEND)) == functions | others
