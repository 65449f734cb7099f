"""What is drawn for a trial: failures, and the reports that follow from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.outages.grid import KINDS, Grid
from oms_topology.outages.rates import ReportRates
from oms_topology.outages.units import log_odds

if TYPE_CHECKING:
    from numpy.typing import NDArray

ONU = ReportRates(0.9, 1e-4)
CALL = ReportRates(0.06, 1e-4)
ONE_FAULT = np.array([0.01, 0.06, 0.08, 0.25, 0.35, 0.25])
MANY_FAULTS = np.array([0.0, 0.04, 0.08, 0.28, 0.35, 0.25])


@dataclass(frozen=True)
class Scenario:
    """One row of the table: how many failures, and how reliable the reports are."""

    name: str
    faults: int
    gasp: ReportRates | None
    onu: ReportRates | None = ONU
    call: ReportRates = CALL
    silence: ReportRates | None = None
    dead_collectors: float = 0.0
    wrong_mapping: float = 0.0

    @property
    def shares(self) -> NDArray[np.float64]:
        return ONE_FAULT if self.faults < 5 else MANY_FAULTS

    def prior(self, grid: Grid) -> NDArray[np.int64]:
        """Log-odds of each node's failure."""
        odds = [
            log_odds(min(0.5, max(1e-6, self.faults * share / count)))
            for share, count in zip(self.shares, grid.counts, strict=True)
        ]
        return np.array(odds)[grid.kind]


@dataclass(frozen=True)
class Trial:
    """What truly failed and what was heard, meter by meter in the grid's order."""

    failed: NDArray[np.int64]
    is_dead: NDArray[np.bool_]
    has_onu: NDArray[np.bool_]
    gasped: NDArray[np.bool_]
    onu_lost: NDArray[np.bool_]
    called: NDArray[np.bool_]
    silent: NDArray[np.bool_]


def draw_failures(scenario: Scenario, grid: Grid, rng: np.random.Generator) -> NDArray[np.int64]:
    failed: set[int] = set()
    while len(failed) < scenario.faults:
        kind = rng.choice(len(KINDS), p=scenario.shares)
        failed.add(int(rng.choice(np.flatnonzero(grid.kind == kind))))
    return np.array(sorted(failed))


def wrongly_mapped(scenario: Scenario, grid: Grid, rng: np.random.Generator) -> Grid:
    """Give the network as it truly is: some meters hang on another distribution point."""
    parent = grid.parent.copy()
    astray = grid.meters[rng.random(len(grid.meters)) < scenario.wrong_mapping]
    parent[astray] = rng.choice(grid.points, len(astray))
    return replace(grid, parent=parent)


def draw_reports(
    scenario: Scenario,
    grid: Grid,
    failed: NDArray[np.int64],
    has_onu: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Trial:
    """Draw the reports of all meters; ``grid`` is the true network."""
    dead = grid.dead(failed)[grid.meters]
    size = len(dead)

    def heard(rates: ReportRates | None) -> NDArray[np.bool_]:
        if rates is None:
            return np.zeros(size, dtype=np.bool_)
        return rng.random(size) < np.where(dead, rates.detection, rates.false_alarm)

    gasped, onu_lost, called, silent = (
        heard(rates) for rates in (scenario.gasp, scenario.onu, scenario.call, scenario.silence)
    )
    if scenario.dead_collectors:
        collector = grid.lateral_of[grid.meters]
        deaf = (rng.random(collector.max() + 1) < scenario.dead_collectors)[collector]
        gasped, silent = gasped & ~deaf, silent | deaf
    return Trial(failed, dead, has_onu, gasped, onu_lost & has_onu, called, silent)


def trial_of(scenario: Scenario, grid: Grid, rng: np.random.Generator) -> Trial:
    """Draw one trial; what truly failed is named by the nodes that both networks share."""
    true_grid = wrongly_mapped(scenario, grid, rng) if scenario.wrong_mapping else grid
    has_onu = rng.random(len(grid.meters)) < 0.5 if scenario.onu else np.zeros(len(grid.meters), bool)
    return draw_reports(scenario, true_grid, draw_failures(scenario, grid, rng), has_onu, rng)


def meter_evidence(scenario: Scenario, trial: Trial) -> NDArray[np.int64]:
    """Give the log-likelihood ratio of each meter's reports, dead against alive, in 1/1024 nat."""
    total = np.zeros(len(trial.is_dead), dtype=np.int64)
    for rates, heard in (
        (scenario.gasp, trial.gasped),
        (scenario.call, trial.called),
        (scenario.silence, trial.silent),
    ):
        if rates is not None:
            total += np.where(heard, rates.weight, rates.weight_of_absence)
    if scenario.onu is not None:
        onu = np.where(trial.onu_lost, scenario.onu.weight, scenario.onu.weight_of_absence)
        total += np.where(trial.has_onu, onu, 0)
    return total


def at_nodes(grid: Grid, of_meters: NDArray[np.int64]) -> NDArray[np.int64]:
    spread = np.zeros(len(grid.parent), dtype=np.int64)
    spread[grid.meters] = of_meters
    return spread
