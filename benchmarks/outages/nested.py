"""Which devices are still dead after the feeder above is back: by power-ups that came or did not."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.outages.grid import FEEDER, LATERAL, POINT, SECTION, Grid
from benchmarks.outages.rules import Rule, blamed_by
from benchmarks.outages.scores import Score, ahead
from benchmarks.outages.trials import at_nodes
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
HALF = Rule(0.5, 1, 0.5, 1, 2)


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


def by_rule(case: Restored, rule: Rule) -> NDArray[np.int64]:
    votes = at_nodes(case.grid, (~case.heard).astype(np.int64))
    return blamed_by(case.grid.parent, case.grid.kind, votes, rule)


def rules() -> list[Rule]:
    """As many rules as elsewhere, around the shares that matter here; a lone meter never counts."""
    shares = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0, 0.99)
    return [
        Rule(*each, 2) for each in product(shares, (1, 2, 3, 4), (0.5, 0.6, 0.7, 0.8, 0.9, 1.0), (1, 2, 3))
    ]


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
