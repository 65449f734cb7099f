"""kill -9 of consumers, database and broker, at random points: in the end all is as if nothing had happened.

Ten kills by default; ``OMS_TOPOLOGY_TEST_KILLS=34`` with the seeds 11 to 16 in ``OMS_TOPOLOGY_TEST_SEED`` is
the long run of 204.
"""

from __future__ import annotations

import os
import time
from random import Random
from typing import TYPE_CHECKING

import pytest

from oms_topology import Topology
from oms_topology.service.consumers.settings import STREAMS
from oms_topology.service.consumers.writer import BatchWriter
from tests.acceptance.final_state import final_state
from tests.acceptance.provider_streams import TOWN, ProviderStreams
from tests.brokers import LiveBroker, own_broker
from tests.crash_server import CrashServer, crash_server
from tests.servers import roomy_place
from tests.service.consumers.members import Member, Trial, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oms_topology.persistence.database import Database

KILLS = int(os.environ.get("OMS_TOPOLOGY_TEST_KILLS", "10"))
SEED = int(os.environ.get("OMS_TOPOLOGY_TEST_SEED", "1"))
PROVIDERS = tuple(STREAMS)
MESSAGES_BETWEEN = 80
VICTIMS = ("consumer", "database", "broker", "consumer", "database", "consumer and database")


@pytest.fixture
def server() -> Iterator[CrashServer]:
    yield from crash_server(roomy_place())


@pytest.fixture
def mortal_broker() -> Iterator[LiveBroker]:
    yield from own_broker()


class Siege:
    """Two members, a database and a broker, and somebody who kills them."""

    def __init__(self, server: CrashServer, broker: LiveBroker, trial: Trial) -> None:
        self.server = server
        self.broker = broker
        self.trial = trial
        self.random = Random(SEED)
        self.members = [self._member(), self._member()]
        self.hits_while_working = 0

    def strike(self) -> None:
        """Wait until messages are being taken in, kill somebody, and bring it back."""
        before = self._taken_in()
        # A group that is just sharing its partitions anew takes nothing in for some seconds; kill it too.
        until = time.monotonic() + self.random.choice((0.3, 20, 20, 20))
        while self._taken_in() == before and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(self.random.uniform(0, 0.2))
        taken_in, sent = self._taken_in(), self._sent()
        self.hits_while_working += before < taken_in < sent
        self._kill(self.random.choice(VICTIMS))

    def _kill(self, victims: str) -> None:
        if "database" in victims:
            self.server.kill()
        if "consumer" in victims:
            self.members.pop(self.random.randrange(2)).kill()
        if "broker" in victims:
            self.broker.kill()
        time.sleep(self.random.uniform(0, 1))
        if "broker" in victims:
            self.broker.restart()
        if "database" in victims:
            self.server.start()
        if "consumer" in victims:
            self.members.append(self._member())

    def _member(self) -> Member:
        return self.trial.start(*PROVIDERS, more=["--batch-messages", "3"])

    def _taken_in(self) -> int:
        return sum(sum(self.trial.next_offsets(provider).values()) for provider in PROVIDERS)

    def _sent(self) -> int:
        return sum(sum(self.trial.ends(provider).values()) for provider in PROVIDERS)


@pytest.mark.slow
def test_killed_at_random_points_the_final_tables_are_those_of_an_undisturbed_run(
    server: CrashServer, mortal_broker: LiveBroker, database: Database
) -> None:
    streams, sent = ProviderStreams(SEED), []
    besieged = server.create("besieged")
    for target in (besieged, database):
        target.store_network(Topology.from_text(TOWN))
    trial = Trial(besieged, mortal_broker)
    try:
        siege = Siege(server, mortal_broker, trial)
        for _ in range(KILLS):
            for provider in PROVIDERS:
                messages = streams.some(provider, MESSAGES_BETWEEN // len(PROVIDERS))
                trial.send(provider, messages)
                sent += [(provider, message) for message in messages]
            siege.strike()
        for provider in PROVIDERS:
            wait_until(lambda name=provider: trial.is_done(name), timeout_s=90, what="taking all in")
        for member in siege.members:
            member.stop()
        with BatchWriter(database) as undisturbed:
            undisturbed.write(sent)
        assert final_state(besieged) == final_state(database)
        assert siege.hits_while_working >= KILLS // 3
    finally:
        trial.close()
        besieged.close()
