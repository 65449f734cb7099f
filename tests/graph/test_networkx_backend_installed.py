"""The backend as NetworkX finds it: by its entry points, in processes of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., str]

ROOT = Path(__file__).parents[2]
ENTRY_POINTS = {
    "networkx.backends": {"oms_topology": "oms_topology.graph.nx_backend.interface:BACKEND"},
    "networkx.backend_info": {"oms_topology": "oms_topology.graph.nx_backend.info:backend_info"},
}


def installed(folder: Path, name: str, groups: dict[str, dict[str, str]]) -> None:
    """Put a distribution's metadata into a folder, as an installer does."""
    home = folder / f"{name}-0.dist-info"
    home.mkdir(parents=True)
    (home / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0\n")
    lines = [
        "\n".join([f"[{group}]", *(f"{key} = {value}" for key, value in points.items())])
        for group, points in groups.items()
    ]
    (home / "entry_points.txt").write_text("\n\n".join(lines) + "\n")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run Python with the backend installed; give what it prints."""
    if not list(entry_points(group="networkx.backends", name="oms_topology")):
        installed(tmp_path / "site", "oms_topology_entry_points", ENTRY_POINTS)

    def run(*arguments: str, **environment: str) -> str:
        path = os.pathsep.join([str(ROOT), str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    return run


def test_the_project_declares_the_entry_points() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = project.get("entry-points", {})
    assert {group: declared.get(group) for group in ENTRY_POINTS} == ENTRY_POINTS


COMMON = """
import logging, sys, warnings
warnings.simplefilter("error")
import networkx as nx
assert "numpy" not in sys.modules and "scipy" not in sys.modules, "importing NetworkX must stay light"
from oms_topology import Topology
calls = []
class Log(logging.Handler):
    def emit(self, record):
        if record.msg.startswith("Using backend"):
            calls.append(record.args[1])
logger = logging.getLogger("networkx.utils.backends")
logger.addHandler(Log())
logger.setLevel(logging.DEBUG)
net = Topology.from_text("SS1 > F1 > DP1 > M1..M3; SS1 > F2 > DP2 > M4")
graph = net.graph
below = {"DP1", "M1", "M2", "M3"}
def answered():
    taken = calls[:]
    calls.clear()
    return taken
"""


def test_who_does_not_ask_gets_networkx(run: Run) -> None:
    run(
        "-c",
        COMMON
        + """
assert graph.__networkx_backend__ == "networkx"
assert nx.descendants(graph, "F1") == below and type(nx.descendants(graph, "F1")) is set
assert nx.lowest_common_ancestor(graph, "M1", "M4") == "SS1"
assert abs(sum(nx.pagerank(graph).values()) - 1) < 1e-6
assert answered() == []
""",
    )


def test_who_asks_once_gets_the_index_once(run: Run) -> None:
    run(
        "-c",
        COMMON
        + """
assert nx.descendants(graph, "F1", backend="oms_topology") == below
assert nx.lowest_common_ancestor(graph, node1="M1", node2="M4", backend="oms_topology") == "SS1"
assert answered() == ["descendants", "lowest_common_ancestor"]
lazy = nx.descendants(graph, "F1", backend="oms_topology", lazy=True)
assert type(lazy).__name__ == "NodeSet" and lazy == below
plain = nx.DiGraph(graph)
assert nx.descendants(plain, "F1", backend="oms_topology") == below
assert answered() == ["descendants", "descendants"]
for ask in (
    lambda: nx.descendants(nx.DiGraph([(1, 3), (2, 3)]), 1, backend="oms_topology"),
    lambda: nx.pagerank(graph, backend="oms_topology"),
    lambda: nx.shortest_path(graph, "F1", "M1", weight="length_m", backend="oms_topology"),
):
    try:
        ask()
    except NotImplementedError:
        continue
    raise AssertionError("asked for by name, a backend must not be replaced in silence")
""",
    )


def test_who_asks_for_all_gets_the_index_wherever_it_answers(run: Run) -> None:
    code = (
        COMMON
        + """
assert graph.__networkx_backend__ is None
assert nx.descendants(graph, "F1") == below
assert nx.has_path(graph, "F1", "M1") and not nx.has_path(graph, "F1", "M4")
assert nx.shortest_path(G=graph, source="SS1", target="M4") == ["SS1", "F2", "DP2", "M4"]
assert answered() == ["descendants", "has_path", "has_path", "shortest_path"]
assert nx.shortest_path(graph, "SS1", "M4", weight="length_m") == ["SS1", "F2", "DP2", "M4"]
assert abs(sum(nx.pagerank(graph).values()) - 1) < 1e-6
assert len(nx.compose(graph, nx.DiGraph([("X", "SS1")]))) == 10
answered()
plain = nx.DiGraph([(1, 2)])
assert nx.descendants(plain, 1) == {2} and nx.descendants(graph.copy(), "F1") == below
assert nx.is_tree(nx.Graph([(1, 2)])) and nx.has_path(nx.MultiDiGraph([(1, 2)]), 1, 2)
assert answered() == []
nx.config.backends.oms_topology.lazy_sets = True
assert type(nx.descendants(graph, "F1")).__name__ == "NodeSet"
try:
    nx.set_node_attributes(graph, 1, "weight")
except (nx.NetworkXError, RuntimeError):
    pass
else:
    raise AssertionError("read-only, whoever asks")
"""
    )
    run(
        "-c",
        code.replace(
            "graph = net.graph\n", 'nx.config.backend_priority = ["oms_topology"]\ngraph = net.graph\n'
        ),
    )
    run("-c", code, NETWORKX_BACKEND_PRIORITY="oms_topology")


def test_a_function_of_its_own_priority(run: Run) -> None:
    run(
        "-c",
        COMMON
        + """
nx.config.backend_priority.descendants = ["oms_topology"]
assert nx.descendants(graph, "F1") == below
assert nx.ancestors(graph, "DP1") == {"F1", "SS1"}
assert answered() == ["descendants"]
""",
    )


AT_ONCE = """
import networkx as nx
from networkx.utils import backends
from oms_topology import Topology
from oms_topology.graph.nx_backend import info, sparing
searched = []
original = backends._dispatchable._can_backend_run
def watched(self, name, args, kwargs):
    searched.append(self.name)
    return original(self, name, args, kwargs)
backends._dispatchable._can_backend_run = watched
graph = Topology.from_text("SS1 > F1 > DP1 > M1..M3; SS1 > F2 > DP2 > M4").graph
def ways():
    descendants, ancestors = nx.descendants(graph, "F1"), nx.ancestors(graph, "DP1")
    lazy = nx.descendants(graph, "F1", lazy=True) if nx.config.backend_priority.algos else descendants
    assert descendants == lazy == {"DP1", "M1", "M2", "M3"} and ancestors == {"F1", "SS1"}
    assert nx.shortest_path(graph, "SS1", "M4") == ["SS1", "F2", "DP2", "M4"]
    for wrong in (lambda: nx.descendants(graph, "X"), lambda: nx.shortest_path(graph, "F1", "F2")):
        try:
            wrong()
        except nx.NetworkXException:
            continue
        raise AssertionError("unknown node, or no way")
ways()
assert not searched and not sparing.ANSWERS
nx.config.backend_priority = ["oms_topology"]
ways()
assert searched.count("descendants") == 1, "the first call finds the backend, and the others go by it"
for answers in sparing.ANSWERS.values():
    assert answers and set(answers) < set(info.FUNCTIONS)
    assert not any(backends._registered_algorithms[name]._returns_graph for name in answers)
searched.clear()
assert nx.shortest_path(graph, "SS1", "M4", weight="length_m") == ["SS1", "F2", "DP2", "M4"]
nx.bfs_tree(graph, "F1"), nx.shortest_path(G=graph, source="SS1"), nx.descendants(nx.DiGraph(graph), "F1")
assert {"shortest_path", "bfs_tree", "descendants"} <= set(searched)
searched.clear()
nx.config.backend_priority.descendants = []
assert type(nx.descendants(graph, "F1")) is set
nx.config.backend_priority.descendants = ["oms_topology"]
searched.clear()
by_name = nx.descendants(graph, "F1", lazy=True, backend="oms_topology")
assert not searched
assert nx.descendants(graph, "F1", lazy=True) == by_name
assert set(searched) == {"descendants"}
try:
    nx.shortest_path(graph, "F1", "M1", weight="length_m", backend="oms_topology")
except NotImplementedError as error:
    assert "backend='oms_topology'" in str(error)
else:
    raise AssertionError("asked for by name, a backend must not be replaced in silence")
"""


def test_who_asks_is_answered_without_a_search_after_the_first_call(run: Run) -> None:
    run("-c", AT_ONCE)


def test_the_backend_shows_in_the_documentation(run: Run) -> None:
    run("-c", COMMON + 'assert "oms_topology : Forests of supply" in nx.descendants.__doc__\n')


SPARED = """
import networkx as nx
from networkx.utils import backends
searched = []
original = backends._dispatchable._can_backend_run
def watched(self, name, args, kwargs):
    searched.append((self.name, name))
    return original(self, name, args, kwargs)
backends._dispatchable._can_backend_run = watched
assert nx.has_path(nx.path_graph(3), 0, 2)
print(len(searched))
nx.config.backend_priority = ["oms_topology"]
assert nx.has_path(nx.path_graph(3), 0, 2)
assert searched
"""


def test_calls_of_those_who_do_not_use_it_are_not_searched_for_a_backend(run: Run) -> None:
    assert run("-c", SPARED) == "0\n"


def test_nothing_is_changed_where_another_backend_is_installed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir(exist_ok=True)
    (tmp_path / "site" / "another.py").write_text("class Backend:\n    pass\nBACKEND = Backend()\n")
    installed(tmp_path / "site", "another", {"networkx.backends": {"another": "another:BACKEND"}})
    assert int(run("-c", SPARED)) > 0


SUITES = (
    "networkx.algorithms.tests.test_dag",
    "networkx.algorithms.tests.test_lowest_common_ancestors",
    "networkx.algorithms.tests.test_simple_paths",
    "networkx.algorithms.tree.tests.test_recognition",
    "networkx.algorithms.tree.tests.test_branchings",
    "networkx.algorithms.traversal.tests.test_bfs",
    "networkx.algorithms.shortest_paths.tests.test_generic",
    "networkx.algorithms.shortest_paths.tests.test_unweighted",
    "networkx.algorithms.components.tests.test_strongly_connected",
    "networkx.algorithms.components.tests.test_weakly_connected",
)


@pytest.mark.slow
def test_networkx_own_tests_pass_with_the_backend_on(run: Run, tmp_path: Path) -> None:
    log = tmp_path / "calls.log"
    printed = run(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"),
        *(f"--log-file={log}", "--log-file-level=DEBUG", "--pyargs", *SUITES),
        NETWORKX_TEST_BACKEND="oms_topology",
        NETWORKX_FALLBACK_TO_NX="1",
    )
    passed = re.search(r"(\d+) passed", printed)
    assert passed is not None
    assert int(passed[1]) > 300
    answered = set(re.findall(r"Using backend 'oms_topology' for call to '(\w+)'", log.read_text()))
    assert len(answered) >= 20
    assert {"descendants", "ancestors", "has_path", "lowest_common_ancestor"} <= answered
