"""More members share the work; whoever joins, leaves or dies, each message has its effects once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from oms_topology import Topology
from oms_topology.service.consumers.writer import BatchWriter
from tests.acceptance.final_state import final_state
from tests.acceptance.provider_streams import TOWN, ProviderStreams
from tests.service.consumers.members import Member, Trial, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from oms_topology.persistence.database import Database
    from tests.brokers import LiveBroker

SMALL_BATCHES = ("--batch-messages", "4")


@pytest.fixture
def trial(database: Database, broker: LiveBroker) -> Iterator[Trial]:
    database.store_network(Topology.from_text(TOWN))
    made = Trial(database, broker, partitions=8)
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_members_join_leave_and_die_and_nothing_is_lost_or_doubled(
    trial: Trial, database_factory: Callable[..., Database], count: int
) -> None:
    streams, sent = ProviderStreams(count), list[bytes]()

    def send() -> None:
        messages = streams.some("scada", 80)
        trial.send("scada", messages)
        sent.extend(messages)

    send()
    members = [trial.start("scada", more=SMALL_BATCHES) for _ in range(count)]
    send()
    wait_until(lambda: all_at_work(members), what="sharing the work among all")
    joining = trial.start("scada", more=SMALL_BATCHES)
    send()
    members.pop().kill()
    wait_until(lambda: is_at_work(joining), what="joining")
    send()
    members.pop().stop()
    wait_until(lambda: trial.is_done("scada"), timeout_s=90, what="taking all in")
    assert len(trial.next_offsets("scada")) == 8
    undisturbed = database_factory(upgraded=True)
    undisturbed.store_network(Topology.from_text(TOWN))
    with BatchWriter(undisturbed) as writer:
        writer.write([("scada", message) for message in sent])
    assert final_state(trial.database) == final_state(undisturbed)


def all_at_work(members: list[Member]) -> bool:
    return all(is_at_work(member) for member in members)


def is_at_work(member: Member) -> bool:
    """Whether partitions are its own now, be there messages in them or not."""
    return "lag_messages{" in member.ask("/metrics")[1]
