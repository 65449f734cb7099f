"""Readers in other threads see whole versions, without numba too, and old blocks are left behind unharmed."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from oms_topology import Topology
from oms_topology.graph.engine import editor as editor_module

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

_TOWN = (
    "SS1 > F1 >SW1> DP1 > M1..M20; F1 > DP2 > M21..M30; SS1 > F2 > DP3 > M31..M50;"
    "SS2 > F3 >SW3> DP4 > M51..M60; DP4 /T1/ DP3; F3 ~> M31"
)


def _read_while(work: Callable[[], None], *readers: Callable[[], None]) -> None:
    """Let readers read again and again until the work is done; what one of them raises is raised here."""
    done = threading.Event()
    raised: list[BaseException] = []
    rounds = [0] * len(readers)

    def repeat(number: int) -> None:
        try:
            while not done.is_set() or not rounds[number]:
                readers[number]()
                rounds[number] += 1
        except BaseException as error:  # noqa: BLE001
            raised.append(error)

    threads = [threading.Thread(target=repeat, args=(number,)) for number in range(len(readers))]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        work()
    finally:
        done.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(interval)
    if raised:
        raise raised[0]
    assert all(rounds)


def test_what_moves_within_a_substation_is_never_missed_or_doubled() -> None:
    net = Topology.from_text(_TOWN)
    everybody = [f"M{number}" for number in range(1, 51)]

    def work() -> None:
        for turn in range(400):
            net.refeed("DP1", ("F2", "F1")[turn % 2])
            net.move_meter("M25", ("DP3", "DP2")[turn % 2])

    def count() -> None:
        below = net.downstream("SS1")
        assert len(below) == 50
        assert sorted(below) == sorted(everybody)
        assert set(below.count_by("feeder").values()) <= {30, 20, 10, 40, 29, 21, 9, 41, 19, 31, 11, 39}

    def climb() -> None:
        assert net.upstream("M1") in (["DP1", "F1", "SS1"], ["DP1", "F2", "SS1"])
        assert net.upstream("M25") in (["DP2", "F1", "SS1"], ["DP3", "F2", "SS1"])
        assert net.common_upstream(["M1", "M2", "M20"]) == "DP1"

    def fail() -> None:
        impact = net.impact("SS1")
        assert (len(impact.total), len(impact.lost)) == (50, 49)

    _read_while(work, count, climb, fail)


def test_switching_and_large_changes_are_seen_whole() -> None:
    net = Topology.from_text(_TOWN)

    def work() -> None:
        for _ in range(150):
            net.open("SW3")
            net.close("T1")
            net.open("T1")
            net.close("SW3")

    def count() -> None:
        assert len(net.energised) in (60, 50)
        assert len(net.downstream("SS2")) in (10, 0)
        assert len(net.downstream("SS1")) in (50, 60)

    def draw() -> None:
        graph = net.graph
        assert graph.number_of_nodes() == 69
        assert graph.in_degree("M51") == graph.in_degree("M60") == graph.in_degree("DP4")

    _read_while(work, count, draw)


def test_old_answers_outlive_the_arena_they_were_given_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(editor_module, "_SPARE", 200)
    net = Topology.from_text(_TOWN)
    arenas = set()
    kept = []
    for turn in range(100):
        net.refeed("DP1", ("F2", "F1")[turn % 2])
        arenas.add(id(net._editor.normal.arena))
        kept.append(
            (net.downstream("F1"), list(net.downstream("F1")), net.downstream("F1").count_by("device"))
        )
    assert len(arenas) > 2
    for below, numbers, by_device in kept:
        assert list(below) == numbers
        assert below.count_by("device") == by_device
        assert all(number in below for number in numbers)
        assert "M55" not in below


_WITHOUT_NUMBA = """
import sys
sys.modules["numba"] = None
from oms_topology.graph.engine import kernels
assert not kernels.is_compiled
from hypothesis import settings
from tests.properties.test_changes_in_place import ChangingMachine, test_all_undone_is_what_it_was
from hypothesis.stateful import run_state_machine_as_test
test_all_undone_is_what_it_was()
few = settings(max_examples=8, stateful_step_count=10, deadline=None, database=None)
run_state_machine_as_test(ChangingMachine, settings=few)
print("as compiled")
"""


def test_without_numba_everything_is_the_same() -> None:
    run = subprocess.run([sys.executable, "-c", _WITHOUT_NUMBA], capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "as compiled", run.stderr
