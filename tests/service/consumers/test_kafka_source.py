"""The member of a group: where it begins, how it pauses, and what it does about a topic made anew."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from oms_topology.errors import BrokerError, MissingExtraError, StoreUnavailableError
from oms_topology.persistence.database import Database
from oms_topology.persistence.stream_positions import record_positions
from oms_topology.service.consumers.bookmarks import Bookmarks
from oms_topology.service.consumers.kafka import KafkaSource
from oms_topology.service.consumers.source import SourceMessage, positions_after
from tests.service.consumers.members import Trial, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


class Reading:
    """A source that reads the SCADA topic of a trial."""

    def __init__(self, trial: Trial, database: Database | None = None) -> None:
        stream = trial.settings.stream("scada")
        self.bookmarks = Bookmarks((database or trial.database).engine, stream.consumer_group, stream.topic)
        self.source = KafkaSource("scada", self.bookmarks, trial.settings)
        self.read: list[SourceMessage] = []

    def has_read(self, count: int) -> bool:
        self.read += self.source.poll(20, 0.2)
        return len(self.read) >= count


@pytest.fixture
def reading(trial: Trial) -> Iterator[Reading]:
    trial.send("scada", [b"%d" % number for number in range(30)])
    made = Reading(trial)
    yield made
    made.source.close()


def note(database: Database, bookmarks: Bookmarks, next_offsets: dict[int, int]) -> None:
    with database.engine.begin() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        record_positions(driver, [bookmarks.position(*item) for item in next_offsets.items()])  # type: ignore[arg-type]


def test_it_begins_where_the_database_says_whatever_the_broker_thinks(trial: Trial) -> None:
    stream = trial.settings.stream("scada")
    trial.send("scada", [b"%d" % number for number in range(30)])
    # A broker takes an outsider's offsets only while the group has no member.
    other = Consumer({"bootstrap.servers": trial.broker.bootstrap, "group.id": stream.consumer_group})
    other.commit(
        offsets=[TopicPartition(stream.topic, number, 10) for number in range(3)], asynchronous=False
    )
    other.close()
    reading = Reading(trial)
    try:
        note(trial.database, reading.bookmarks, {0: 9, 2: 3})
        wait_until(lambda: reading.has_read(18), what="reading")
    finally:
        reading.source.close()
    offsets = {(told.position.partition, told.position.next_offset - 1) for told in reading.read}
    assert offsets == {(0, 9), *((1, n) for n in range(10)), *((2, n) for n in range(3, 10))}
    assert {told.payload for told in reading.read if told.position.partition == 0} == {b"27"}


def test_it_knows_how_much_waits(trial: Trial) -> None:
    trial.send("scada", [b"%d" % number for number in range(3000)])
    reading = Reading(trial)
    try:
        wait_until(lambda: reading.has_read(1) and len(reading.source.lag) == 3, what="counting")
        assert sum(reading.source.lag.values()) == 3000 - len(reading.read)
        wait_until(lambda: reading.has_read(3000), what="reading all")
        assert set(reading.source.lag.values()) == {0}
        assert reading.source.is_connected
    finally:
        reading.source.close()


def test_a_paused_source_gives_nothing_and_then_goes_on_where_it_was(trial: Trial, reading: Reading) -> None:
    wait_until(lambda: reading.has_read(30), what="reading")
    reading.source.pause()
    reading.source.pause()
    trial.send("scada", [b"more"] * 3)
    for _ in range(10):
        reading.source.keep_alive(0.1)
    reading.source.resume()
    wait_until(lambda: reading.has_read(33), what="going on")
    assert [told.payload for told in reading.read[30:]] == [b"more"] * 3
    assert {held.partition: held.next_offset for held in positions_after(reading.read)} == {
        0: 11,
        1: 11,
        2: 11,
    }


def test_partitions_taken_away_while_paused_are_read_when_they_come_back(trial: Trial) -> None:
    trial.send("scada", [b"%d" % number for number in range(9)])
    first, second = Reading(trial), Reading(trial)
    try:
        wait_until(lambda: first.has_read(1) and bool(first.source._consumer.assignment()), what="reading")
        first.source.pause()

        def is_shared() -> bool:
            first.source.keep_alive(0.1)
            return second.has_read(1)

        wait_until(is_shared, what="sharing")
        second.source.close()

        def is_alone() -> bool:
            first.source.keep_alive(0.1)
            return first.source._unplaced == [0, 1, 2]

        wait_until(is_alone, what="being alone")
        first.source.resume()
        first.read.clear()
        wait_until(lambda: first.has_read(9), what="reading all, from where the database says")
    finally:
        first.source.close()


def test_without_the_database_it_does_not_begin_and_reads_all_once_it_is_back(trial: Trial) -> None:
    trial.send("scada", [b"%d" % number for number in range(9)])
    with Database("postgresql://nobody@/oms?host=/nowhere") as nowhere:
        reading = Reading(trial, nowhere)
        try:
            with pytest.raises(StoreUnavailableError):
                wait_until(lambda: reading.has_read(1), what="asking where to begin")
            with pytest.raises(StoreUnavailableError):
                reading.source.poll(1, 0.1)
            assert reading.read == []
            reading.source._bookmarks = Bookmarks(
                trial.database.engine, reading.bookmarks.consumer_group, reading.bookmarks.topic
            )
            wait_until(lambda: reading.has_read(9), what="reading")
        finally:
            reading.source.close()


def test_a_topic_made_anew_is_read_from_its_beginning_and_its_position_begins_anew(trial: Trial) -> None:
    # The client's own small cluster, because it says that an offset is beyond the end, as Kafka does.
    settings = replace(trial.settings, kafka_options={"test.mock.num.brokers": "1"})
    trial.settings = settings
    reading = Reading(trial)
    note(trial.database, reading.bookmarks, {0: 500, 1: 0, 2: 0, 3: 0})
    try:
        brokers = reading.source._consumer.list_topics(timeout=20).brokers.values()
        bootstrap = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
        producer = Producer({"bootstrap.servers": bootstrap})
        for number in range(5):
            producer.produce(reading.bookmarks.topic, b"%d" % number, partition=0)
        assert producer.flush(20) == 0
        wait_until(lambda: reading.has_read(5), what="reading anew")
        assert [told.position.next_offset for told in reading.read] == [1, 2, 3, 4, 5]
        assert 0 not in reading.bookmarks.next_offsets()
    finally:
        reading.source.close()


def test_options_that_make_no_sense_are_said_to(trial: Trial) -> None:
    trial.settings = replace(trial.settings, kafka_options={"no.such.option": "1"})
    with pytest.raises(BrokerError, match="_INVALID_ARG"):
        Reading(trial)


def test_what_its_promise_rests_on_cannot_be_set(trial: Trial, reading: Reading) -> None:
    trial.settings = replace(
        trial.settings, kafka_options={"enable.auto.commit": "true", "auto.offset.reset": "latest"}
    )
    reading.source.close()
    other = Reading(trial)
    try:
        wait_until(lambda: other.has_read(30), what="reading")
        stream = trial.settings.stream("scada")
        assert all(
            offset < 0 for offset in trial.broker.committed(stream.consumer_group, stream.topic).values()
        )
    finally:
        other.source.close()


def test_without_the_extra_its_name_is_said(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "confluent_kafka", None)
    with pytest.raises(MissingExtraError, match=r"oms_topology\[kafka\]"):
        Reading(trial)
