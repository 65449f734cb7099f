"""Storm mode against a clock that is stepped by hand: order-free, causal, and never flapping."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms_topology.errors import OmsTopologyError
from oms_topology.outages.storm import CALM_PACE, STORM_PACE, StormRules, storm_at, storms

if TYPE_CHECKING:
    import random

NOON = datetime(2025, 10, 1, 12, tzinfo=UTC)
RULES = StormRules(per_hour=8, per_minute=4, calm_share=0.5, calm_for=timedelta(minutes=10))
SECOND = timedelta(seconds=1)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def stepped(reports: list[int], rules: StormRules, until: int) -> list[bool]:
    """Go second by second, remembering whether there is a storm and when the lower rate was last reached."""
    active, last_busy, told = False, None, []
    calm_s = int(rules.calm_for / SECOND)
    for now in range(until + 1):

        def reached(share: float, now: int = now) -> bool:
            in_hour = sum(now - 3600 < each <= now for each in reports)
            in_minute = sum(now - 60 < each <= now for each in reports)
            return in_hour >= rules.per_hour * share or in_minute >= rules.per_minute * share

        if reached(rules.calm_share):
            last_busy = now
        active = reached(1.0) or (active and last_busy is not None and now < last_busy + calm_s + 1)
        told.append(active)
    return told


seconds = st.lists(st.integers(0, 4_000), max_size=30) | st.lists(
    st.integers(0, 30).flatmap(lambda block: st.integers(block * 150, block * 150 + 90)), max_size=30
)


@settings(max_examples=15, deadline=None)
@given(reports=seconds)
def test_it_is_what_a_stepped_clock_says(reports: list[int]) -> None:
    until = 9_000
    expected = stepped(reports, RULES, until)
    found = storms(map(after, reports), RULES, at=after(until))
    starts = [(each.started_at - NOON) / SECOND for each in found]
    ends = [until + 1 if each.ended_at is None else (each.ended_at - NOON) / SECOND for each in found]
    told = [
        any(start <= now < end for start, end in zip(starts, ends, strict=True)) for now in range(until + 1)
    ]
    assert told == expected


@settings(max_examples=150, deadline=None)
@given(reports=seconds, at=st.integers(0, 6_000), shuffled=st.randoms(use_true_random=False))
def test_neither_order_nor_the_future_changes_what_holds(
    reports: list[int], at: int, shuffled: random.Random
) -> None:
    state = storm_at(map(after, reports), RULES, at=after(at))
    known = [each for each in reports if each <= at]
    shuffled.shuffle(known)
    assert storm_at(map(after, known), RULES, at=after(at)) == state
    assert state.is_active == (state.calm_from is not None)
    if state.calm_from is not None:
        assert state.changed_at <= after(at) < state.calm_from
        quiet = storm_at(map(after, known), RULES, at=state.calm_from)
        assert (quiet.is_active, quiet.changed_at) == (False, state.calm_from)


@settings(max_examples=150, deadline=None)
@given(reports=seconds)
def test_it_never_flaps(reports: list[int]) -> None:
    found = storms(map(after, reports), RULES, at=after(20_000))
    for storm in found:
        assert storm.ended_at is not None
        assert storm.ended_at - storm.started_at >= RULES.calm_for
    for before, later in pairwise(found):
        assert before.ended_at < later.started_at


@settings(max_examples=100, deadline=None)
@given(reports=seconds, at=st.integers(0, 9_000))
def test_reports_older_than_the_memory_are_not_needed_while_it_goes_on(reports: list[int], at: int) -> None:
    whole = storm_at(map(after, reports), RULES, at=after(at))
    recent = [each for each in map(after, reports) if each > after(at) - RULES.memory]
    if whole.is_active:
        known = storm_at(recent, RULES, at=after(at), active_since=whole.changed_at)
        assert (known.is_active, known.calm_from) == (True, whole.calm_from)
    else:
        assert not storm_at(recent, RULES, at=after(at)).is_active


def test_a_storm_begun_by_hand_lasts_until_it_was_calm_for_long_enough() -> None:
    begun = after(0)
    assert storm_at([], RULES, at=after(599), active_since=begun).is_active
    assert not storm_at([], RULES, at=after(600), active_since=begun).is_active


def test_rates_that_are_switched_off_begin_nothing() -> None:
    reports = [after(0)] * 1_000
    assert storms(reports, StormRules(per_hour=None, per_minute=None), at=after(10)) == ()
    [by_hour] = storms(reports[:100], StormRules(per_minute=None), at=after(10))
    assert by_hour.started_at == after(0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"calm_share": 1.0},
        {"calm_share": 0.0},
        {"calm_for": timedelta()},
        {"per_hour": -1},
        {"per_minute": -5},
    ],
)
def test_impossible_rules_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(OmsTopologyError):
        StormRules(**wrong)  # type: ignore[arg-type]


def test_a_storms_pace_is_larger_steps_and_both_are_bounded() -> None:
    assert 0 < CALM_PACE.batch_size < STORM_PACE.batch_size <= 10_000
    assert CALM_PACE.pause <= STORM_PACE.pause <= timedelta(seconds=10)
