"""Consumers as operators run them: processes of the command line, looked at through their health pages."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from oms_topology.persistence.stream_positions import positions_of
from oms_topology.service.consumers.settings import ConsumerSettings
from tests.brokers import PARTITIONS, LiveBroker, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from oms_topology.persistence.database import Database

__all__ = ["Member", "Trial", "wait_until"]


class Member:
    """A running consumer process."""

    def __init__(self, arguments: Sequence[str], *, environment: dict[str, str] | None = None) -> None:
        self.port = free_port()
        self._log: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "oms_topology.cli", "events", "consume", *arguments,
             "--health-port", str(self.port)],
            env=os.environ | (environment or {}), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ask(self, path: str) -> tuple[int, str]:
        """Ask the health page; 0 while nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def counted(self) -> dict[str, int]:
        """How many messages it has taken in, by what became of them."""
        pattern = r'^oms_topology_consumer_messages_total{outcome="(\w+)".* (\d+)\.0$'
        counted: Counter[str] = Counter()
        for outcome, count in re.findall(pattern, self.ask("/metrics")[1], re.M):
            counted[outcome] += int(count)
        return counted

    def kill(self) -> None:
        """End it at once; only what is committed remains."""
        self.process.kill()
        self.process.communicate()

    def stop(self, number: int = signal.SIGTERM) -> list[dict[str, Any]]:
        """Ask it to end in good order, and give its log."""
        self.process.send_signal(number)
        _, log = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, log
        return [json.loads(line) for line in log.splitlines()]


class Trial:
    """A database, a broker, and names of topics and groups that nobody else uses."""

    def __init__(self, database: Database, broker: LiveBroker, *, partitions: int = PARTITIONS) -> None:
        self.database = database
        self.partitions = partitions
        self.broker = broker
        self.prefix = f"t{uuid4().hex[:8]}-"
        self.settings = ConsumerSettings(
            bootstrap_servers=broker.bootstrap, stream_prefix=self.prefix, session_timeout_s=6.0
        )
        self.members: list[Member] = []

    def send(self, provider: str, payloads: Sequence[bytes]) -> None:
        """Send messages to a provider's topic, in turn to its partitions."""
        topic = self.settings.stream(provider).topic
        self.broker.create_topic(topic, partitions=self.partitions)
        self.broker.send(topic, payloads, partitions=self.partitions)

    def start(self, *providers: str, more: Sequence[str] = (), address: str | None = None) -> Member:
        """Start a member for providers."""
        named = [word for provider in providers for word in ("--source", provider)]
        own = self.database.engine.url.render_as_string(hide_password=False)
        arguments = [
            *named, "--bootstrap-servers", self.broker.bootstrap, "--stream-prefix", self.prefix,
            "--session-timeout-s", "6", "--retry-limit-s", "0.5", "--database", address or own, *more,
        ]  # fmt: skip
        self.members.append(Member(arguments))
        return self.members[-1]

    def next_offsets(self, provider: str) -> dict[int, int]:
        """How far the group has come, as the database says."""
        stream = self.settings.stream(provider)
        held = positions_of(self.database.engine, stream.consumer_group, stream.topic)
        return {position.partition: position.next_offset for position in held}

    def ends(self, provider: str) -> dict[int, int]:
        """Where the sent messages end."""
        topic = self.settings.stream(provider).topic
        ends = {partition: self.broker.end(topic, partition) for partition in range(self.partitions)}
        return {partition: end for partition, end in ends.items() if end}

    def is_done(self, provider: str) -> bool:
        """Whether all that was sent has been taken in."""
        return self.next_offsets(provider) == self.ends(provider)

    def close(self) -> None:
        """End what still runs."""
        for member in self.members:
            if member.process.poll() is None:
                member.kill()


def wait_until(condition: Callable[[], bool], *, timeout_s: float = 120, what: str = "it") -> None:
    """Wait for something to become true; fail when it does not."""
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, f"{what} did not happen within {timeout_s:.0f} s"
        time.sleep(0.05)
