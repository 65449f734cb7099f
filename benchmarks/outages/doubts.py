"""What the engine must survive: dead collectors, wrong mappings, wrong rates; and how sure it may be."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.outages.engines import (
    learned_mapping,
    learned_scenario,
    plain,
    plain_inference,
    with_collectors,
    with_doubt,
)
from benchmarks.outages.scores import Score, calibration_error
from benchmarks.outages.trials import (
    Scenario,
    draw_failures,
    draw_reports,
    trial_of,
    wrongly_mapped,
)
from oms_topology.outages.asking import most_telling, take_answer
from oms_topology.outages.rates import EvidenceRates, ReportKind, ReportRates

if TYPE_CHECKING:
    from benchmarks.outages.grid import Grid
    from benchmarks.outages.trials import Trial

CLOSED = 60
COLLECTORS = Scenario("5 % dead collectors", 3, ReportRates(0.8, 1e-4), None, dead_collectors=0.05)
MAPPING = Scenario("2 % wrong mapping", 3, ReportRates(0.7, 1e-4), wrong_mapping=0.02)
TRUE_RATES = Scenario("wrong rates", 3, ReportRates(0.4, 1e-3))
BELIEVED = Scenario("wrong rates", 3, ReportRates(0.8, 1e-4))
TRUE_BOTH = replace(TRUE_RATES, name="wrong rates of the ONUs too", onu=ReportRates(0.4, 1e-3))
BELIEVED_BOTH = replace(BELIEVED, onu=ReportRates(0.8, 1e-4))
CALIBRATED = (
    Scenario("1 fault", 1, ReportRates(0.7, 1e-3)),
    Scenario("5 faults", 5, ReportRates(0.7, 1e-4)),
    Scenario("60 faults", 60, ReportRates(0.4, 1e-3)),
)
PINGED = Scenario("pings", 1, ReportRates(0.7, 1e-3))
SURE = 0.95


def show(grid: Grid, trials: int) -> None:
    show_collectors(grid, trials)
    show_mapping(grid, trials)
    show_rates(grid, trials, TRUE_RATES, BELIEVED)
    show_rates(grid, trials, TRUE_BOTH, BELIEVED_BOTH)
    show_calibration(grid, trials)
    show_pings(grid, trials)


def _drawn(scenario: Scenario, grid: Grid, stream: int, count: int) -> list[Trial]:
    return [trial_of(scenario, grid, np.random.default_rng([stream, each])) for each in range(count)]


def show_collectors(grid: Grid, trials: int) -> None:
    blind, seeing = Score(), Score()
    for trial in _drawn(COLLECTORS, grid, 31, trials):
        truth = grid.topmost(trial.failed)
        blind.add(grid, truth, plain(COLLECTORS, grid, trial).tolist(), trial.is_dead)
        seeing.add(grid, truth, with_collectors(COLLECTORS, grid, trial).tolist(), trial.is_dead)
    print(f"{COLLECTORS.name:42} with their hidden state {seeing}, without {blind}", flush=True)


def show_mapping(grid: Grid, trials: int) -> None:
    clean = replace(MAPPING, name="the same rates, clean map", wrong_mapping=0.0)
    for scenario in (MAPPING, clean):
        trusting, doubting = Score(), Score()
        for each in range(trials):
            if each % 10 == 0:
                rng = np.random.default_rng([41, each])
                true_grid = wrongly_mapped(scenario, grid, rng)
                doubt = learned_mapping(scenario, grid, true_grid, CLOSED, rng)
            rng = np.random.default_rng([42, each])
            has_onu = rng.random(len(grid.meters)) < 0.5
            trial = draw_reports(scenario, true_grid, draw_failures(scenario, grid, rng), has_onu, rng)
            truth = grid.topmost(trial.failed)
            trusting.add(grid, truth, plain(scenario, grid, trial).tolist(), trial.is_dead)
            doubting.add(grid, truth, with_doubt(scenario, grid, trial, doubt).tolist(), trial.is_dead)
        learned = f"learned from {CLOSED} closed outages"
        print(f"{scenario.name:42} {learned} {doubting}, trusting {trusting}", flush=True)


def show_rates(grid: Grid, trials: int, true: Scenario, believed: Scenario) -> None:
    learned = learned_scenario(believed, grid, _drawn(true, grid, 52, CLOSED))
    scores = [Score() for _ in range(3)]
    for trial in _drawn(true, grid, 51, trials):
        truth = grid.topmost(trial.failed)
        for score, scenario in zip(scores, (learned, believed, true), strict=True):
            score.add(grid, truth, plain(scenario, grid, trial).tolist(), trial.is_dead)
    print(f"{true.name:42} learned {scores[0]}, believed {scores[1]}, true {scores[2]}", flush=True)


def _with_default_rates(scenario: Scenario) -> Scenario:
    reports = EvidenceRates().reports
    return replace(
        scenario,
        gasp=reports[ReportKind.LAST_GASP],
        onu=reports[ReportKind.ONU_LOSS],
        call=reports[ReportKind.CALL],
    )


def show_calibration(grid: Grid, trials: int) -> None:
    """Say how far posteriors of blamed devices are from how often they had failed."""
    said, deployed, guide, came_true = [], [], [], []
    for scenario in CALIBRATED:
        closed = _drawn(scenario, grid, 62, CLOSED)
        learned = learned_scenario(_with_default_rates(scenario), grid, closed)
        count = max(trials, 4 * trials // scenario.faults) if scenario.faults < 60 else trials // 6 + 1
        for trial in _drawn(scenario, grid, 61, count):
            inference = plain_inference(learned, grid, trial)
            posterior = inference.posteriors().is_failed
            truth = set(grid.topmost(trial.failed).tolist())
            for node in inference.explanation().blamed.tolist():
                below = grid.dead(np.array([node]))[grid.meters]
                gasps, calls = (trial.gasped & below).sum(), (trial.called & below).sum()
                onus = (trial.onu_lost & below).sum()
                heard = max(1, gasps + calls + onus)
                said.append(posterior[node])
                deployed.append(min(1.0, 0.5 + 0.1 * (heard - 1)))
                guide.append(min(1.0, (0.8 * gasps + 0.6 * onus + 0.4 * calls) / heard))
                came_true.append(node in truth)
    truth = np.array(came_true)
    errors = [calibration_error(np.array(each), truth) for each in (said, deployed, guide)]
    print(
        f"{'calibration error, 10 bins':42} posterior {errors[0]:.3f}, deployed formula {errors[1]:.3f}, "
        f"the guide's {errors[2]:.3f}, over {len(truth)} outages",
        flush=True,
    )


def show_pings(grid: Grid, trials: int) -> None:
    """Ask one meter after the other until the blame is sure or no answer could tell more."""
    ping = EvidenceRates().reports[ReportKind.PING]
    asked, right, right_before = [], [], []
    for each, trial in enumerate(_drawn(PINGED, grid, 71, trials)):
        rng = np.random.default_rng([72, each])
        inference = plain_inference(PINGED, grid, trial)
        truth = grid.topmost(trial.failed).tolist()
        right_before.append(inference.explanation().blamed.tolist() == truth)
        dead = dict(zip(grid.meters.tolist(), trial.is_dead.tolist(), strict=True))
        pings = 0
        while pings < 50:
            posteriors = inference.posteriors()
            blamed = inference.explanation().blamed
            if len(blamed) and posteriors.is_failed[blamed].min() >= SURE:
                break
            node = most_telling(posteriors.is_dead, grid.meters)
            if node < 0:
                break
            silent = rng.random() < (ping.detection if dead[node] else ping.false_alarm)
            take_answer(inference, node, is_dead=bool(silent), rates=ping)
            pings += 1
        asked.append(pings)
        right.append(inference.explanation().blamed.tolist() == truth)
    needed = [pings for pings in asked if pings] or [0]
    print(
        f"{'pings to verify an outage':42} median {np.median(asked):.0f}, of those that need any "
        f"{np.median(needed):.0f}; right {np.mean(right_before):.2f} before, {np.mean(right):.2f} after",
        flush=True,
    )
