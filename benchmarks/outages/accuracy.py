"""How often the right device is blamed: ``python -m benchmarks.outages.accuracy [--quick]``.

One table, always on the same seeds. Beside the exact engine run the counting rule, its five parameters
chosen from 648 with the truth of 100 trials of the same row in hand, and the rule "two below: blame the
one above". Of three numbers the first is the share of trials with exactly the right set of devices, the
second F1 of the blamed devices, the third the outages opened for each true one; in brackets the meters
whose supply is concluded wrongly.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.outages import doubts, nested
from benchmarks.outages.engines import plain
from benchmarks.outages.grid import make_grid
from benchmarks.outages.rules import TWO_UP, all_rules, blamed_by
from benchmarks.outages.scores import Score, ahead
from benchmarks.outages.trials import Scenario, at_nodes, trial_of
from oms_topology.outages.rates import ReportRates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks.outages.grid import Grid
    from benchmarks.outages.rules import Rule
    from benchmarks.outages.trials import Trial

    Engine = Callable[[Scenario, Grid, Trial], Iterable[int]]

ROWS = (
    Scenario("1 fault, heard 30 %", 1, ReportRates(0.3, 1e-4)),
    Scenario("1 fault, heard 70 %, false 1e-3", 1, ReportRates(0.7, 1e-3)),
    Scenario("1 fault, heard 70 %, false 1e-2", 1, ReportRates(0.7, 1e-2)),
    Scenario("5 faults, heard 70 %", 5, ReportRates(0.7, 1e-4)),
    Scenario("storm: 60 faults, heard 40 %, false 1e-3", 60, ReportRates(0.4, 1e-3)),
    Scenario("calls only, 6 %", 1, None, None),
)


def by_rule(rule: Rule) -> Engine:
    """Make an engine of a rule: a vote for each report of a meter."""

    def engine(scenario: Scenario, grid: Grid, trial: Trial) -> Iterable[int]:
        votes = trial.gasped.astype(np.int64) + trial.onu_lost + trial.called
        return blamed_by(grid.parent, grid.kind, at_nodes(grid, votes), rule).tolist()

    return engine


def scored(engine: Engine, scenario: Scenario, grid: Grid, trials: Iterable[Trial]) -> Score:
    score = Score()
    for trial in trials:
        score.add(grid, grid.topmost(trial.failed), engine(scenario, grid, trial), trial.is_dead)
    return score


def fitted(scenario: Scenario, grid: Grid, trials: list[Trial], every: int = 1) -> Rule:
    """Choose the rule with the best F1 on trials of which the truth is known."""
    votes = [
        at_nodes(grid, trial.gasped.astype(np.int64) + trial.onu_lost + trial.called) for trial in trials
    ]
    truths = [set(grid.topmost(trial.failed).tolist()) for trial in trials]

    def f1(rule: Rule) -> float:
        hits = blamed = 0
        for of_meters, truth in zip(votes, truths, strict=True):
            found = blamed_by(grid.parent, grid.kind, of_meters, rule)
            hits, blamed = hits + len(truth.intersection(found.tolist())), blamed + len(found)
        return 2 * hits / max(1, blamed + sum(map(len, truths)))

    return max(list(all_rules())[::every], key=f1)


def draw(scenario: Scenario, grid: Grid, stream: int, count: int) -> list[Trial]:
    return [trial_of(scenario, grid, np.random.default_rng([stream, each])) for each in range(count)]


def show_rows(grid: Grid, trials: int, fit: int, every: int) -> None:
    print(f"{'':42} {'exact':30} {'fitted rule':30} {'two-up rule':30} lead in F1 (95 %)")
    for scenario in ROWS:
        drawn = draw(scenario, grid, 11, trials)
        rule = fitted(scenario, grid, draw(scenario, grid, 12, fit), every)
        exact, counted, two = (
            scored(engine, scenario, grid, drawn) for engine in (plain, by_rule(rule), by_rule(TWO_UP))
        )
        lead = "{:+.3f} ({:+.3f} to {:+.3f})".format(*ahead(exact, counted))
        print(f"{scenario.name:42} {exact!s:30} {counted!s:30} {two!s:30} {lead}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few trials: that it runs, not what it says")
    parser.add_argument("--trials", type=int, default=300)
    given = parser.parse_args()
    trials, fit, every = (6, 4, 40) if given.quick else (given.trials, 100, 1)
    grid = make_grid(1)
    print(f"{len(grid.meters)} meters, {len(grid.points)} distribution points, {trials} trials a row")
    show_rows(grid, trials, fit, every)
    nested.show(grid, trials, fit, every)
    doubts.show(grid, trials)


if __name__ == "__main__":
    main()
