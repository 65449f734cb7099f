"""Which devices are still dead after the feeder above is back: by power-ups that came or did not."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmarks.outages.grid import FEEDER, LATERAL, METER, POINT, SECTION, Grid
from benchmarks.outages.scores import Score, ahead
from benchmarks.outages.trials import at_nodes
from oms_topology.graph.engine.compiling import compiled
from oms_topology.outages.inference import ForestInference
from oms_topology.outages.rates import ReportRates
from oms_topology.outages.units import log_odds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

POWER_UP = ReportRates(0.7, 1e-4)
FAULTS = 3
# A single meter's fault cannot be told from a power-up that was lost: power-ups are all there is here.
SHARES = {SECTION: 0.08 / 0.71, LATERAL: 0.28 / 0.71, POINT: 0.35 / 0.71}


@dataclass(frozen=True)
class Restored:
    """A feeder that is back, what failed below it, and whose power-up was heard."""

    grid: Grid
    failed: NDArray[np.int64]
    is_dead: NDArray[np.bool_]
    heard: NDArray[np.bool_]


def below(grid: Grid, top: int) -> Grid:
    """Cut out the part of a network at and below a device."""
    stop = top + 1
    while stop < len(grid.parent) and grid.parent[stop] >= top:
        stop += 1
    parent = grid.parent[top:stop] - top
    parent[0] = -1
    return Grid(parent, grid.kind[top:stop])


def draw_restored(feeders: list[Grid], stream: int, count: int) -> Iterator[Restored]:
    for each in range(count):
        rng = np.random.default_rng([stream, each])
        grid = feeders[int(rng.integers(len(feeders)))]
        failed: set[int] = set()
        while len(failed) < FAULTS:
            kind = rng.choice(list(SHARES), p=list(SHARES.values()))
            failed.add(int(rng.choice(np.flatnonzero(grid.kind == kind))))
        nodes = np.array(sorted(failed))
        dead = grid.dead(nodes)[grid.meters]
        heard = rng.random(len(dead)) < np.where(dead, POWER_UP.false_alarm, POWER_UP.detection)
        yield Restored(grid, nodes, dead, heard)


def prior_below(grid: Grid) -> NDArray[np.int64]:
    odds = np.full(6, log_odds(1e-6))
    for kind, share in SHARES.items():
        odds[kind] = log_odds(min(0.5, FAULTS * share / max(1, grid.counts[kind])))
    return odds[grid.kind]


def exact(case: Restored) -> NDArray[np.int32]:
    # For "it is dead" a power-up is the false alarm, and its absence the rule.
    weight = np.where(case.heard, -POWER_UP.weight, -POWER_UP.weight_of_absence)
    about_power = at_nodes(case.grid, weight)
    prior = prior_below(case.grid)
    return ForestInference(case.grid.parent, about_power, prior + about_power).explanation().blamed


class SilentShare(NamedTuple):
    """Blame a device when this share, and so many, of the meters below it have not reported power."""

    point_share: float
    point_least: int
    upper_share: float
    upper_least: int
    upper_children: int


HALF = SilentShare(0.5, 1, 0.5, 1, 0)


def rules() -> list[SilentShare]:
    """As many rules as elsewhere: 648."""
    shares = (0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
    return [SilentShare(*each) for each in product(shares, (2, 3, 4), shares[:4], (2, 4, 8), (0, 1, 2))]


@compiled
def blamed_by_share(
    parent: NDArray[np.int32], kind: NDArray[np.int8], is_silent: NDArray[np.bool_], rule: SilentShare
) -> NDArray[np.int64]:
    """Give the uppermost devices that a rule blames."""
    count = len(parent)
    meters, silent = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    children = np.zeros(count, dtype=np.int64)
    is_out, dead = np.zeros(count, dtype=np.bool_), np.zeros(count, dtype=np.bool_)
    for node in range(count - 1, -1, -1):
        if kind[node] == METER:
            meters[node], silent[node] = 1, is_silent[node]
        elif kind[node] == POINT:
            is_out[node] = silent[node] >= max(rule.point_least, rule.point_share * meters[node])
        else:
            enough = silent[node] >= max(rule.upper_least, rule.upper_share * meters[node])
            is_out[node] = enough and children[node] >= rule.upper_children
        above = parent[node]
        if above >= 0:
            meters[above] += meters[node]
            silent[above] += silent[node]
            children[above] += is_out[node]
    found = np.empty(count, dtype=np.int64)
    size = 0
    for node in range(count):
        lost = parent[node] >= 0 and dead[parent[node]]
        dead[node] = lost or is_out[node]
        if is_out[node] and not lost:
            found[size] = node
            size += 1
    return found[:size]


def by_rule(case: Restored, rule: SilentShare) -> NDArray[np.int64]:
    silent = np.zeros(len(case.grid.parent), dtype=np.bool_)
    silent[case.grid.meters] = ~case.heard
    return blamed_by_share(case.grid.parent, case.grid.kind, silent, rule)


def score_of(cases: list[Restored], found: list[NDArray[np.integer]]) -> Score:
    score = Score()
    for case, blamed in zip(cases, found, strict=True):
        score.add(case.grid, case.grid.topmost(case.failed), blamed.tolist(), case.is_dead)
    return score


def show(grid: Grid, trials: int, fit: int, every: int) -> None:
    feeders = [below(grid, int(top)) for top in np.flatnonzero(grid.kind == FEEDER)]
    fitting = list(draw_restored(feeders, 22, fit))
    best = max(
        rules()[::every], key=lambda rule: score_of(fitting, [by_rule(case, rule) for case in fitting]).f1()
    )
    cases = list(draw_restored(feeders, 21, trials))
    engine = score_of(cases, [exact(case) for case in cases])
    counted = score_of(cases, [by_rule(case, best) for case in cases])
    half = score_of(cases, [by_rule(case, HALF) for case in cases])
    lead = "{:+.3f} ({:+.3f} to {:+.3f})".format(*ahead(engine, counted))
    print(
        f"{'nested, 70 % of power-ups heard':42} {engine!s:30} {counted!s:30} {half!s:30} {lead}", flush=True
    )
