"""Peers that may need an environment of their own: pandapower, power-grid-model-ds, nx-rustworkx.

The benchmark writes the tree to a file and calls ``PYTHON -m benchmarks.graph.peers_apart EDGES.npz PEER``
with an interpreter that has the peer and numpy; of ours only the timing is imported. It prints one
line of JSON: times, and the answers to be compared.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.graph.measuring import asked_each, timed

if TYPE_CHECKING:
    from numpy.typing import NDArray

Found = dict[str, Any]
_ROUNDS = 5


class Edges:
    """The tree as it was written: start and end of each edge, the sources, and nodes to ask about by kind."""

    def __init__(self, path: str) -> None:
        with np.load(path) as stored:
            self.start, self.end, self.sources, self.parent = (
                stored[name] for name in ("start", "end", "sources", "parent")
            )
            self.asked = {
                name[6:]: stored[name].tolist() for name in stored.files if name.startswith("asked_")
            }

    @property
    def nodes(self) -> int:
        """How many nodes there are."""
        return len(self.parent)


def pandapower(edges: Edges) -> Found:
    """Buses and lines as tables; its topology package makes a networkx graph of them and walks it."""
    import pandapower as pp
    import pandapower.topology as top

    begin = time.perf_counter()
    net = pp.create_empty_network()
    pp.create_buses(net, edges.nodes, vn_kv=0.4)
    for source in edges.sources.tolist():
        pp.create_ext_grid(net, source)
    pp.create_lines_from_parameters(
        net,
        edges.start,
        edges.end,
        length_km=0.1,
        r_ohm_per_km=0.1,
        x_ohm_per_km=0.1,
        c_nf_per_km=0,
        max_i_ka=1,
    )
    tables = time.perf_counter()
    graph = top.create_nxgraph(net)
    drawn = time.perf_counter()
    parent = edges.parent

    def below(node: int) -> list[int]:
        above = [int(parent[node])] if parent[node] >= 0 else []
        return list(top.connected_component(graph, node, notravbuses=above))

    found = _walks(edges, below)
    timing = timed(lambda: top.unsupplied_buses(net), 1, warm=False)
    found["times"] |= {
        "build tables": [tables - begin] * 2,
        "build graph": [drawn - tables] * 2,
        "which nodes have supply": [timing.best_s, timing.median_s],
    }
    return found


def power_grid_model_ds(edges: Edges) -> Found:
    """Arrays beside a rustworkx graph of numbers; feeders are labelled by taking the substations away."""
    from power_grid_model_ds import Grid
    from power_grid_model_ds.arrays import LineArray, NodeArray
    from power_grid_model_ds.enums import NodeType

    begin = time.perf_counter()
    grid = Grid.empty()
    nodes, lines = NodeArray.zeros(edges.nodes), LineArray.zeros(len(edges.start))
    nodes.id = np.arange(edges.nodes)
    nodes.node_type[edges.sources] = NodeType.SUBSTATION_NODE.value
    lines.id = np.arange(len(edges.start)) + edges.nodes
    lines.from_node, lines.to_node = edges.start, edges.end
    lines.from_status = lines.to_status = 1
    grid.append(nodes, check_max_id=False)
    grid.append(lines, check_max_id=False)
    built = time.perf_counter()
    sources = set(edges.sources.tolist())
    graph = grid.graphs.active_graph

    def below(node: int) -> list[int]:
        if node in sources:
            return list(graph.get_connected(node))
        return list(grid.get_downstream_nodes(node))

    found = _walks(edges, below)
    timing = timed(grid.set_feeder_ids, 1, warm=False)
    found["times"] |= {
        "build graph": [built - begin] * 2,
        "feeder of every node": [timing.best_s, timing.median_s],
    }
    return found


def nx_rustworkx(edges: Edges) -> Found:
    """NetworkX's own call, answered by its backend on rustworkx; the graph is converted before."""
    import networkx as nx

    graph: Any = nx.DiGraph()
    graph.add_edges_from(zip(edges.start.tolist(), edges.end.tolist(), strict=True))
    begin = time.perf_counter()
    backend = nx.utils.backends._load_backend("rustworkx")
    converted = backend.convert_from_nx(graph)
    took = time.perf_counter() - begin
    found = _walks(edges, lambda node: nx.descendants(converted, node))
    found["times"]["convert"] = [took, took]
    return found


def _walks(edges: Edges, below: Any) -> Found:
    """Time the nodes below each that is asked about, by kind; and give how many, and their sum."""
    times, answers = {}, {}
    for kind, nodes in edges.asked.items():
        count = max(1, len(nodes) // (_ROUNDS + 1))
        timing = asked_each(below, [nodes[at * count :][:count] for at in range(_ROUNDS + 1)])
        times[kind] = [timing.best_s, timing.median_s]
        answers[kind] = [_answer(edges, below, node) for node in nodes[:3]]
    return {"times": times, "answers": answers}


def _answer(edges: Edges, below: Any, node: int) -> list[int]:
    found: NDArray[np.int64] = np.unique(np.array(list(below(node)), dtype=np.int64))
    found = found[(found != node) & (found != edges.parent[node])]
    return [len(found), int(found.sum())]


PEERS = {"pandapower": pandapower, "power-grid-model-ds": power_grid_model_ds, "nx-rustworkx": nx_rustworkx}

if __name__ == "__main__":
    print(json.dumps(PEERS[sys.argv[2]](Edges(sys.argv[1]))))
