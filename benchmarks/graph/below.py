"""Meters below one device: the view, its length, its numbers and its statuses, at every level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.graph.measuring import agree, asked_each, fresh, timed

if TYPE_CHECKING:
    from benchmarks.graph.case import Case

__all__ = ["BELOW", "LEVELS", "again_of", "measure", "view_of"]

BELOW = "Below a device, from its code"

LEVELS = {"substation": 1_000, "feeder": 100, "distribution_point": 10}
"""Kinds of device, and how many meters each supplies."""

_BATCH = 10_000
_FEW = 200
_BATCH_OF_PEERS = 20
_TIMES_NETWORKX = {"substation": "1,000", "feeder": "200"}


def measure(case: Case) -> None:
    """Measure one network."""
    case.report.begin(BELOW, case.meters)
    for kind in LEVELS:
        _level(case, kind)
    _of_one_set(case)


def view_of(kind: str) -> str:
    """Name the work of taking a view."""
    return f"view of a {kind.replace('_', ' ')}'s {LEVELS[kind]:,} meters"


def again_of(kind: str) -> str:
    """Name the same work over devices that were asked about just before: a storm in one district."""
    return f"{view_of(kind)}, {_FEW} devices over and over"


def _level(case: Case, kind: str) -> None:
    report, net, name = case.report, case.net, view_of(kind)
    _check(case, kind)
    batches = [fresh(case.codes(kind, _BATCH, seed)) for seed in range(case.rounds + 1)]
    report.time(name, case.meters, asked_each(net.downstream, batches), "us", goal="1 us")
    counted = asked_each(lambda code: len(net.downstream(code)), batches)
    report.time(f"{name}, and how many they are", case.meters, counted, "us")
    again = [fresh(case.codes(kind, _FEW) * (_BATCH // _FEW)) for _ in range(case.rounds + 1)]
    report.time(again_of(kind), case.meters, asked_each(net.downstream, again), "us", goal="1 us")
    for who, walk in case.peers.below().items():
        # scipy's passes over every node, whatever is asked: once a round says enough.
        batch = 1 if who == "scipy" else _BATCH_OF_PEERS
        nodes = [case.nodes(kind, batch, seed) for seed in range(case.rounds + 1)]
        report.time(name, case.meters, asked_each(walk, nodes), "us", who=who)
    ours, networkx = report.median(name, case.meters), report.median(name, case.meters, "networkx")
    if ours and networkx:
        goal = _TIMES_NETWORKX.get(kind, "")
        report.size(f"{name}: times faster than networkx", case.meters, networkx / ours, "x", goal=goal)


def _check(case: Case, kind: str) -> None:
    """Hold some answers against every peer's."""
    tree = case.tree
    for code, node in zip(case.codes(kind, 3), case.nodes(kind, 3), strict=True):
        ours = np.sort(case.net.downstream(code).rows)
        agree(f"meters below {code}", len(ours), LEVELS[kind])
        for who, walk in case.peers.below().items():
            found = np.array(sorted(walk(node)), dtype=np.int64)
            agree(f"meters below {code} by {who}", ours, found[found >= tree.devices] - tree.devices)


def _of_one_set(case: Case) -> None:
    report, meters = case.report, case.meters
    sets = [case.net.downstream(code) for code in case.codes("substation", _BATCH)]
    statuses = np.random.default_rng(5).integers(0, 3, len(case.columns.meter_number)).astype(np.int8)
    one = sets[0]
    agree("status histogram", one.status_counts(statuses), np.bincount(statuses[one.rows], minlength=3))
    batches = [sets] * (case.rounds + 1)
    report.time("len of a set in hand", meters, asked_each(len, batches), "us", goal="0.3 us")
    few = [sets[: _BATCH // 10]] * (case.rounds + 1)

    def histogram(each: Any) -> None:
        each.status_counts(statuses)

    report.time("status histogram of 1,000", meters, asked_each(histogram, few), "us", goal="5 us")
    same = [[one] * 1_000] * (case.rounds + 1)
    report.time(
        "status histogram of 1,000, again of the same", meters, asked_each(histogram, same), "us", goal="5 us"
    )

    def numbers(each: Any) -> None:
        _ = each.meter_numbers

    report.time("numbers of 1,000 meters", meters, asked_each(numbers, few), "us")
    if case.meters <= 1_000_000:
        report.time("all meters, in preorder", meters, timed(lambda: case.net.meters.rows, case.few), "ms")
