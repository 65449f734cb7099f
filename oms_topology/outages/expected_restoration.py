"""When supply will be back, by how long outages like this one have lasted."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import timedelta

__all__ = ["ExpectedDuration", "OutageTraits", "PastOutage", "customers_band", "expected_duration"]

LEAST_HISTORY: Final = 3
_BORROWED: Final = 8.0
_UPPER: Final = 0.9
_ROUNDING: Final = 1e-9
_BANDS: Final = (10, 100, 1_000, 10_000)


@dataclass(frozen=True, slots=True)
class OutageTraits:
    """By what outages are alike.

    Attributes
    ----------
    device_kind : str or None
        What has failed, such as ``"feeder"``; None when no device is blamed.
    is_storm : bool
        Whether it began in a storm.
    cause : str or None
        What the reports gave as the cause.
    customers : int
        How many lost supply.
    """

    device_kind: str | None
    is_storm: bool
    cause: str | None
    customers: int


@dataclass(frozen=True, slots=True)
class PastOutage:
    """An outage that is over: what it was like, and how long it lasted."""

    traits: OutageTraits
    duration: timedelta


@dataclass(frozen=True, slots=True)
class ExpectedDuration:
    """How long an outage will last, from its start.

    Attributes
    ----------
    median : timedelta
        It ends sooner as often as later.
    earliest, latest : timedelta or None
        In four of five cases it ends between them; None where the history is too small to say so.
    like_outages : int
        Past outages that lasted at least as long as this one has, alike in what ``basis`` says.
    basis : str
        In what those are alike; all others count too, the less the more of these there are.
    """

    median: timedelta
    earliest: timedelta | None
    latest: timedelta | None
    like_outages: int
    basis: str


def customers_band(customers: int) -> int:
    """Tell which of five bands a number of customers is in: below 10, 100, 1,000, 10,000, and more.

    Examples
    --------
    >>> [customers_band(n) for n in (0, 9, 10, 999, 50_000)]
    [0, 0, 1, 2, 4]
    """
    return sum(customers >= bound for bound in _BANDS)


_ALIKE: Final[tuple[tuple[str, Callable[[OutageTraits], object]], ...]] = (
    ("device", lambda traits: traits.device_kind),
    ("weather", lambda traits: traits.is_storm),
    ("cause", lambda traits: traits.cause),
    ("size", lambda traits: customers_band(traits.customers)),
)


def expected_duration(
    past: Iterable[PastOutage], traits: OutageTraits, elapsed: timedelta
) -> ExpectedDuration | None:
    """Say how long an outage will last, given how long it has lasted already.

    Quantiles of the past outages that lasted longer than this one has so far. Those alike in device, weather,
    cause and size count most; each step from the like to the less like has the weight of eight outages, so a
    few like ones move the answer and many decide it. The interval is that of order statistics: it holds the
    next like outage in at least 80 of 100 cases, whatever the distribution.

    Parameters
    ----------
    past : iterable of PastOutage
        The history, in any order.
    traits : OutageTraits
        What this outage is like.
    elapsed : timedelta
        For how long it has lasted.

    Returns
    -------
    ExpectedDuration or None
        None when fewer than three past outages lasted longer than ``elapsed``: then nothing is known.

    Examples
    --------
    >>> from datetime import timedelta
    >>> blown = OutageTraits("distribution_point", False, "fuse", 8)
    >>> past = [PastOutage(blown, timedelta(minutes=m)) for m in (20, 40, 60, 80, 100)]
    >>> found = expected_duration(past, blown, timedelta(minutes=30))
    >>> str(found.median), found.latest, found.like_outages
    ('1:00:00', None, 4)
    >>> expected_duration(past, blown, timedelta(hours=2)) is None
    True
    """
    longer = sorted((one for one in past if one.duration > elapsed), key=lambda one: one.duration)
    if len(longer) < LEAST_HISTORY:
        return None
    levels = _levels([one.traits for one in longer], traits)
    weights = _weights([level for level, _ in levels])
    reached = list(accumulate(weights))
    durations = [one.duration for one in longer]
    # Kish: as many equally weighted outages would tell as much.
    sample = 1.0 / sum(weight * weight for weight in weights)
    upper = _UPPER * (sample + 1.0) / sample
    is_enough = upper <= 1.0 + _ROUNDING
    like, basis = next((level, words) for level, words in reversed(levels) if any(level))
    return ExpectedDuration(
        durations[_first(reached, 0.5 - _ROUNDING)],
        durations[_first(reached, 1.0 - upper + _ROUNDING)] if is_enough else None,
        durations[_first(reached, min(upper, 1.0) - _ROUNDING)] if is_enough else None,
        sum(like),
        basis,
    )


def _levels(past: Sequence[OutageTraits], traits: OutageTraits) -> list[tuple[list[bool], str]]:
    """Tell who is in each level, from all outages to those alike in everything."""
    inside = [True] * len(past)
    names: list[str] = []
    found = [(inside, "any outage")]
    for name, of in _ALIKE:
        inside = [was and of(one) == of(traits) for was, one in zip(inside, past, strict=True)]
        names.append(name)
        found.append((inside, f"same {', '.join(names)}"))
    return found


def _weights(levels: Sequence[Sequence[bool]]) -> list[float]:
    """Weigh outages: each level holds its own part, and leaves the rest to the wider one.

    A level that is no narrower than the next wider one says nothing of its own.
    """
    weights = [0.0] * len(levels[0])
    left = 1.0
    for wider, level in reversed(list(pairwise(levels))):
        count = sum(level)
        if 0 < count < sum(wider):
            share = left * count / (count + _BORROWED)
            weights = [w + share / count * inside for w, inside in zip(weights, level, strict=True)]
            left -= share
    return [weight + left / len(weights) for weight in weights]


def _first(reached: Sequence[float], level: float) -> int:
    return next((place for place, sum_ in enumerate(reached) if sum_ > level), len(reached) - 1)
