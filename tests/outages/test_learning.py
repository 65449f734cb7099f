"""Rates and mappings learned from closed outages come to what truly held."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms_topology.outages.learning import RateTally, learn_rates, learned_report
from oms_topology.outages.mapping import doubted, wrong_mapping_after
from oms_topology.outages.rates import EvidenceRates, ReportKind, ReportRates

TRUE = ReportRates(0.4, 1e-3)


def drawn(rng: np.random.Generator, dead: int, alive: int) -> RateTally:
    heard = int((rng.random(dead) < TRUE.detection).sum())
    return RateTally(dead, heard, alive, int((rng.random(alive) < TRUE.false_alarm).sum()))


def test_learned_rates_come_near_the_true_ones_and_say_how_near() -> None:
    rng = np.random.default_rng(4)
    tallies = {ReportKind.LAST_GASP: drawn(rng, 20_000, 2_000_000)}
    rates, report = learn_rates(EvidenceRates(), tallies)
    learned = rates.reports[ReportKind.LAST_GASP]
    assert learned.detection == pytest.approx(TRUE.detection, abs=0.02)
    assert learned.false_alarm == pytest.approx(TRUE.false_alarm, rel=0.1)
    detection, _ = report[ReportKind.LAST_GASP]
    assert abs(detection.after - TRUE.detection) < 5 * detection.deviation + 0.01
    assert detection.before == EvidenceRates().reports[ReportKind.LAST_GASP].detection


def test_what_was_not_seen_is_not_learned() -> None:
    rates, report = learn_rates(EvidenceRates(), {ReportKind.CALL: RateTally()})
    former, learned = EvidenceRates().reports[ReportKind.CALL], rates.reports[ReportKind.CALL]
    assert learned.detection == pytest.approx(former.detection)
    assert learned.false_alarm == pytest.approx(former.false_alarm)
    assert report[ReportKind.CALL][0].seen == 0
    assert learned.valid_for == former.valid_for


def test_a_report_that_tells_nothing_keeps_its_rates() -> None:
    noise = {ReportKind.CALL: RateTally(10_000, 1_000, 10_000_000, 2_000_000)}
    rates, report = learn_rates(EvidenceRates(), noise)
    assert rates.reports[ReportKind.CALL] == EvidenceRates().reports[ReportKind.CALL]
    assert report[ReportKind.CALL][1].after > report[ReportKind.CALL][0].after


def test_learning_does_not_depend_on_the_order_of_outages() -> None:
    rng = np.random.default_rng(8)
    tallies = [drawn(rng, 30, 3000) for _ in range(20)]
    forwards, backwards = sum(tallies, RateTally()), sum(reversed(tallies), RateTally())
    assert learned_report(TRUE, forwards) == learned_report(TRUE, backwards)


@pytest.mark.parametrize("bad", [(1, 2, 0, 0), (0, 0, 1, 2), (1, -1, 0, 0)])
def test_more_heard_than_there_was_is_refused(bad: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="More was heard"):
        RateTally(*bad)


@given(
    about=st.integers(-12_000, 12_000),
    wrong=st.floats(0.001, 0.5),
    elsewhere=st.floats(1e-5, 0.2),
)
@settings(max_examples=60, deadline=None)
def test_doubt_is_the_mixture_of_both_cases(about: int, wrong: float, elsewhere: float) -> None:
    told = doubted(np.array([about]), np.array([-9000]), wrong, elsewhere)
    ratio = np.exp(about / 1024)
    astray = wrong * ((1 - elsewhere) + elsewhere * ratio)
    alive, dead, failed = (1 - wrong) + astray, (1 - wrong) * ratio + astray, ratio
    assert told.dead[0] / 1024 == pytest.approx(np.log(dead / alive), abs=0.002)
    assert (told.failed[0] + 9000) / 1024 == pytest.approx(np.log(failed / alive), abs=0.002)
    assert abs(told.dead[0]) <= abs(about) + 1


def test_meters_that_hang_elsewhere_are_found_by_what_they_said() -> None:
    rng = np.random.default_rng(12)
    outages, meters, gasp = 60, 400, ReportRates(0.7, 1e-3)
    was_dead = rng.random((outages, meters)) < 0.08
    truly_dead = was_dead.copy()
    truly_dead[:, :20] = rng.random((outages, 20)) < 0.08
    heard = rng.random((outages, meters)) < np.where(truly_dead, gasp.detection, gasp.false_alarm)
    learned = wrong_mapping_after(0.02, heard, was_dead, gasp.detection, gasp.false_alarm, 0.08)
    assert learned[:20].mean() > 0.8
    assert learned[20:].mean() < 0.01
    none = np.empty((0, 3), dtype=bool)
    assert wrong_mapping_after(0.02, none, none, 0.7, 1e-3, 0.1).tolist() == pytest.approx([0.02] * 3)
