"""The pure core: signals in any order, any of them repeated, come to one status of every meter.

What a set means is told by the oracle of :mod:`tests.properties.provider_reports`, which shares no line
with the fold; ``test_provider_order`` holds the same fold beside PostgreSQL.
"""

from __future__ import annotations

import os
from random import Random
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.acceptance.scada_grid import at
from tests.properties.provider_reports import ProviderOracle, empty_statuses, signals_of, spoken_sets, told_by

if TYPE_CHECKING:
    from oms_topology.events import ReportedStatuses
    from oms_topology.model import Signal
    from tests.properties.provider_reports import Spoken
    from tests.properties.test_scada_order import Said

PERMUTATIONS = 25
EXAMPLES = 4000 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 400


def shuffled(signals: list[Signal], random: Random) -> list[Signal]:
    """The same signals in another order, some of them more than once."""
    order = [*signals, *random.choices(signals, k=random.randrange(len(signals) + 1))]
    random.shuffle(order)
    return order


def folded(signals: list[Signal], random: Random) -> ReportedStatuses:
    """One by one into one state, or in two halves that are merged."""
    whole, other = empty_statuses(), empty_statuses()
    cut = random.choice([0, random.randrange(len(signals) + 1)])
    other.update(signals[:cut])
    whole.update(signals[cut:])
    whole.merge(other)
    return whole


def state_of(statuses: ReportedStatuses) -> dict[str, Any]:
    return {
        meter: (
            statuses.status(meter),
            statuses.power_history(meter),
            statuses.communication_history(meter),
        )
        for meter in statuses
    }


@given(spoken_sets(most=12), st.integers(0, 2**32))
@settings(max_examples=EXAMPLES, deadline=None)
def test_ten_thousand_permutations_give_the_state_that_the_set_means(
    drawn: tuple[list[Spoken | Said], int], seed: int
) -> None:
    messages, received = drawn
    oracle, random = ProviderOracle(messages, at(received)), Random(seed)
    signals = [signal for message in messages for signal in signals_of(message, at(received))]
    expected: dict[str, Any] | None = None
    for _ in range(PERMUTATIONS):
        statuses = folded(shuffled(signals, random), random)
        state = state_of(statuses)
        if expected is None:
            expected = state
            for meter in oracle.meters:
                assert told_by(statuses.status(meter)) == oracle.status(meter)
                assert list(statuses.power_history(meter)) == oracle.changes(meter)
                assert list(statuses.communication_history(meter)) == oracle.link_changes(meter)
        assert state == expected


def test_the_default_count_is_ten_thousand() -> None:
    assert EXAMPLES * PERMUTATIONS >= 10_000
