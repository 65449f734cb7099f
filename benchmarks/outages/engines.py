"""The exact engine as each row of the table uses it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.outages.grid import METER, Grid
from benchmarks.outages.trials import (
    Scenario,
    Trial,
    at_nodes,
    draw_failures,
    draw_reports,
    meter_evidence,
)
from oms_topology.outages.collectors import CollectorInference, Likelihoods
from oms_topology.outages.inference import ForestInference
from oms_topology.outages.learning import RateTally, learned_report
from oms_topology.outages.mapping import doubted, wrong_mapping_after
from oms_topology.outages.rates import ReportRates
from oms_topology.outages.units import log_odds, to_units

if TYPE_CHECKING:
    from numpy.typing import NDArray

_IMPOSSIBLE = -40 * 1024


def plain_inference(scenario: Scenario, grid: Grid, trial: Trial) -> ForestInference:
    about_power = at_nodes(grid, meter_evidence(scenario, trial))
    return ForestInference(grid.parent, about_power, scenario.prior(grid) + about_power)


def plain(scenario: Scenario, grid: Grid, trial: Trial) -> NDArray[np.int32]:
    return plain_inference(scenario, grid, trial).explanation().blamed


def with_collectors(scenario: Scenario, grid: Grid, trial: Trial) -> NDArray[np.int32]:
    """One collector for each lateral, through which the last gasps come."""
    assert scenario.gasp is not None
    prior, zero = scenario.prior(grid), np.zeros(len(grid.parent), dtype=np.int64)
    about_power = at_nodes(grid, meter_evidence(scenario, trial))
    heard = Likelihoods(zero, about_power, prior + about_power)
    no_gasp = int(to_units(-np.log1p(-scenario.gasp.false_alarm)))
    base = at_nodes(grid, np.where(trial.gasped, _IMPOSSIBLE, no_gasp))
    call = np.where(trial.called, scenario.call.weight, scenario.call.weight_of_absence)
    dead = base + at_nodes(grid, call)
    collector = np.where(grid.kind == METER, grid.lateral_of, -1)
    deaf_prior = np.full(int(collector.max()) + 1, log_odds(scenario.dead_collectors))
    inference = CollectorInference(
        grid.parent, collector, heard, Likelihoods(base, dead, prior + dead), deaf_prior
    )
    return inference.explanation().blamed


def learned_mapping(
    scenario: Scenario, grid: Grid, true_grid: Grid, closed: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Learn from closed outages, with their reports, which meters hang elsewhere; one number a node."""
    assert scenario.gasp is not None
    heard, dead = [], []
    has_onu = np.zeros(len(grid.meters), dtype=np.bool_)
    for _ in range(closed):
        failed = draw_failures(scenario, grid, rng)
        heard.append(draw_reports(scenario, true_grid, failed, has_onu, rng).gasped)
        dead.append(grid.dead(failed)[grid.meters])
    gasp = scenario.gasp
    learned = wrong_mapping_after(
        0.005, np.array(heard), np.array(dead), gasp.detection, gasp.false_alarm, 0.03
    )
    of_nodes = np.zeros(len(grid.parent))
    of_nodes[grid.meters] = learned
    return of_nodes


def with_doubt(
    scenario: Scenario, grid: Grid, trial: Trial, wrong_mapping: NDArray[np.float64]
) -> NDArray[np.int32]:
    about_power = at_nodes(grid, meter_evidence(scenario, trial))
    told = doubted(about_power, scenario.prior(grid), wrong_mapping, 0.03)
    return ForestInference(grid.parent, told.dead, told.failed).explanation().blamed


def learned_scenario(believed: Scenario, grid: Grid, closed: list[Trial]) -> Scenario:
    """Learn the rates of gasps, ONUs and calls from closed outages of which the extent is known."""

    def learned(rates: ReportRates, heard: str, asked: str | None = None) -> ReportRates:
        tally = RateTally()
        for trial in closed:
            may = getattr(trial, asked) if asked else np.ones(len(trial.is_dead), dtype=np.bool_)
            came, dead = getattr(trial, heard) & may, trial.is_dead & may
            tally += RateTally(
                int(dead.sum()), int((came & dead).sum()), int((may & ~dead).sum()), int((came & ~dead).sum())
            )
        detection, false_alarm = learned_report(rates, tally)
        return ReportRates(detection.after, false_alarm.after)

    return replace(
        believed,
        gasp=learned(believed.gasp, "gasped") if believed.gasp else None,
        onu=learned(believed.onu, "onu_lost", "has_onu") if believed.onu else None,
        call=learned(believed.call, "called"),
    )
