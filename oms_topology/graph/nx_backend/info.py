"""What NetworkX is told of the backend when NetworkX is imported; so nothing heavy is imported here."""

from __future__ import annotations

from typing import Any

__all__ = ["FUNCTIONS", "NAME", "backend_info"]

NAME = "oms_topology"

_SLICE = "One slice of the index: cost follows the answer."
_PATH = "One path up the tree: cost follows its length."
_COUNT = "Known without looking: no node is visited."
_SWEEP = "One pass over arrays."

FUNCTIONS: dict[str, dict[str, Any]] = {
    "all_pairs_lowest_common_ancestor": {"additional_docs": f"With ``pairs`` only. {_PATH}"},
    "ancestors": {"additional_docs": _PATH},
    "bfs_edges": {"additional_docs": f"Without ``sort_neighbors``. {_SLICE}"},
    "bfs_tree": {"additional_docs": f"Without ``sort_neighbors``. {_SLICE}"},
    "bidirectional_shortest_path": {"additional_docs": _PATH},
    "dag_longest_path": {"additional_docs": f"Where no edge has the weight. {_SWEEP}"},
    "dag_longest_path_length": {"additional_docs": f"Where no edge has the weight. {_SWEEP}"},
    "descendants": {
        "additional_docs": _SLICE,
        "additional_parameters": {
            "lazy : bool": (
                "Give a read-only set that is read from the index when asked, in a few microseconds at any "
                "size, and equals the set; by default as ``nx.config.backends.oms_topology.lazy_sets`` says."
            )
        },
    },
    "descendants_at_distance": {"additional_docs": _SLICE},
    "has_cycle": {"additional_docs": _COUNT},
    "has_path": {"additional_docs": "Two look-ups."},
    "is_arborescence": {"additional_docs": _COUNT},
    "is_branching": {"additional_docs": _COUNT},
    "is_directed_acyclic_graph": {"additional_docs": _COUNT},
    "is_forest": {"additional_docs": _COUNT},
    "is_strongly_connected": {"additional_docs": _COUNT},
    "is_tree": {"additional_docs": _COUNT},
    "is_weakly_connected": {"additional_docs": _COUNT},
    "lowest_common_ancestor": {"additional_docs": _PATH},
    "number_strongly_connected_components": {"additional_docs": _COUNT},
    "number_weakly_connected_components": {"additional_docs": _COUNT},
    "shortest_path": {"additional_docs": f"Without ``weight``, from a source or to a target. {_PATH}"},
    "shortest_path_length": {"additional_docs": f"Without ``weight``, from a source or to a target. {_PATH}"},
    "single_source_shortest_path": {"additional_docs": _SLICE},
    "single_source_shortest_path_length": {"additional_docs": _SLICE},
    "single_target_shortest_path": {"additional_docs": _PATH},
    "single_target_shortest_path_length": {"additional_docs": _PATH},
    "topological_generations": {"additional_docs": _SWEEP},
    "topological_sort": {"additional_docs": _SWEEP},
    "weakly_connected_components": {"additional_docs": _SLICE},
}
"""The functions that the backend answers, with what NetworkX shall add to their documentation."""


def backend_info() -> dict[str, Any]:
    """Describe the backend to NetworkX.

    Returns
    -------
    dict
        As the entry point ``networkx.backend_info`` wants it. ``default_config`` has ``lazy_sets``:
        whether :func:`networkx.descendants` gives a view instead of a set.
    """
    from oms_topology.graph.nx_backend.sparing import spare_other_calls

    spare_other_calls()
    return {
        "backend_name": NAME,
        "project": NAME,
        "package": NAME,
        "short_summary": "Forests of supply, answered from a preorder index.",
        "default_config": {"lazy_sets": False},
        "functions": FUNCTIONS,
    }
