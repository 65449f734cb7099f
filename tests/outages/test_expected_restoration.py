"""Expected durations against quantiles counted out by brute force."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms_topology.outages.expected_restoration import (
    ExpectedDuration,
    OutageTraits,
    PastOutage,
    customers_band,
    expected_duration,
)

BLOWN = OutageTraits("distribution_point", False, "fuse", 8)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


TRAITS = st.builds(
    OutageTraits,
    st.sampled_from(["feeder", "distribution_point", None]),
    st.booleans(),
    st.sampled_from(["fuse", None]),
    st.sampled_from([5, 50]),
)
HISTORY = st.lists(st.builds(PastOutage, TRAITS, st.integers(1, 40).map(minutes)), max_size=30)


def exact_weights(past: list[PastOutage], traits: OutageTraits) -> list[Fraction]:
    """The mixture written down as its definition: a level's own share, the rest from the wider level."""

    def key(of: OutageTraits, depth: int) -> tuple[object, ...]:
        return (of.device_kind, of.is_storm, of.cause, customers_band(of.customers))[:depth]

    def distribution(depth: int) -> list[Fraction]:
        inside = [key(one.traits, depth) == key(traits, depth) for one in past]
        count = sum(inside)
        own = [Fraction(is_in, count) if count else Fraction(0) for is_in in inside]
        if depth == 0:
            return own
        is_narrower = inside != [key(one.traits, depth - 1) == key(traits, depth - 1) for one in past]
        share = Fraction(count, count + 8) * is_narrower
        return [share * o + (1 - share) * w for o, w in zip(own, distribution(depth - 1), strict=True)]

    return distribution(4)


def counted(
    past: list[PastOutage], traits: OutageTraits, elapsed: timedelta
) -> tuple[timedelta | None, ...] | None:
    left = [one for one in past if one.duration > elapsed]
    if len(left) < 3:
        return None
    weights = exact_weights(left, traits)
    sample = 1 / sum(weight * weight for weight in weights)
    upper = Fraction(9, 10) * (sample + 1) / sample

    def at_most(duration: timedelta) -> Fraction:
        return sum((w for w, one in zip(weights, left, strict=True) if one.duration <= duration), Fraction(0))

    durations = sorted({one.duration for one in left})
    median = min(d for d in durations if at_most(d) >= Fraction(1, 2))
    if upper > 1:
        return median, None, None
    return (
        median,
        min(d for d in durations if at_most(d) > 1 - upper),
        min(d for d in durations if at_most(d) >= upper),
    )


@given(HISTORY, TRAITS, st.integers(0, 40).map(minutes))
def test_it_is_the_quantile_of_what_is_left(
    past: list[PastOutage], traits: OutageTraits, elapsed: timedelta
) -> None:
    found = expected_duration(past, traits, elapsed)
    assert (found and (found.median, found.earliest, found.latest)) == counted(past, traits, elapsed)
    if found is not None:
        assert found.median > elapsed
        assert expected_duration(list(reversed(past)), traits, elapsed) == found


@pytest.mark.parametrize("count", [9, 10, 19, 30, 99])
def test_the_interval_holds_the_next_one_in_four_of_five_cases(count: int) -> None:
    past = [PastOutage(BLOWN, minutes(m)) for m in range(1, count + 1)]
    found = expected_duration(past, BLOWN, minutes(0))
    assert found is not None
    assert found.median == minutes(ceil(count / 2))
    assert found.earliest is not None
    assert found.latest is not None
    # A next one falls into each of the gaps between the past ones with the same probability.
    low, high = found.earliest // minutes(1), found.latest // minutes(1)
    assert (high - low) / (count + 1) >= 0.8
    assert low == max(1, floor((count + 1) / 10))


def test_few_like_ones_move_the_answer_and_many_decide_it() -> None:
    storm = OutageTraits("distribution_point", True, "fuse", 8)
    others = [PastOutage(storm, minutes(300 + m)) for m in range(50)]

    def median(like: int) -> timedelta:
        found = expected_duration(
            [*others, *(PastOutage(BLOWN, minutes(60 + m)) for m in range(like))], BLOWN, minutes(0)
        )
        assert found is not None
        return found.median

    assert median(0) >= median(2) >= median(60)
    assert median(60) < minutes(120) < minutes(300) <= median(0)


def test_it_says_what_it_rests_on() -> None:
    feeder = OutageTraits("feeder", True, None, 900)
    past = [PastOutage(BLOWN, minutes(m)) for m in (10, 20, 30)] + [PastOutage(feeder, minutes(200))]
    assert expected_duration(past, OutageTraits("feeder", False, None, 900), minutes(5)) == ExpectedDuration(
        minutes(30), None, None, 1, "same device"
    )
    substation = expected_duration(past, OutageTraits("substation", False, None, 900), minutes(5))
    assert substation == ExpectedDuration(minutes(20), None, None, 4, "any outage")
    assert expected_duration(past, feeder, minutes(20)) is None
    assert expected_duration([], feeder, minutes(0)) is None
