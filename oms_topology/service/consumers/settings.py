"""What a consumer can be told, and the deployed topics and groups."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from oms_topology.model import Source

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["STREAMS", "ConsumerSettings", "Stream", "providers_named"]


@dataclass(frozen=True, slots=True)
class Stream:
    """The topic of a provider, and the group that shares the reading of it."""

    topic: str
    consumer_group: str


STREAMS: Final[Mapping[str, Stream]] = {
    Source.SCADA.value: Stream("scada-outage-topic", "scada-consumer-group"),
    Source.ONU.value: Stream("onu-events-topic", "onu-consumer-group"),
    Source.KAIFA.value: Stream("hes-kaifa-outage-topic", "hes-kaifa-consumer-group"),
    Source.CALL_CENTER.value: Stream("call_center_upstream_topic", "call-center-consumer-group"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerSettings:
    """What holds for every consumer of a process.

    Attributes
    ----------
    bootstrap_servers : str
        ``host:port`` of one or more brokers, with commas between.
    batch_messages : int
        How many messages go into one transaction at the most.
    linger_s : float
        How long a batch waits for more messages after its first, in seconds.
    session_timeout_s : float
        After how long without a sign of life the broker gives a member's partitions to others, in seconds.
    retry_limit_s : float
        The longest wait between two attempts while the database is away, in seconds.
    stream_prefix : str
        Put before the names of topics and groups, for instance for a trial beside the real thing.
    kafka_options : mapping
        Further options of librdkafka, such as those for TLS and SASL.
    """

    bootstrap_servers: str
    batch_messages: int = 500
    linger_s: float = 0.01
    session_timeout_s: float = 10.0
    retry_limit_s: float = 5.0
    stream_prefix: str = ""
    kafka_options: Mapping[str, str] = field(default_factory=dict)

    def stream(self, provider: str) -> Stream:
        """Give the topic and the group of a provider.

        Examples
        --------
        >>> ConsumerSettings(bootstrap_servers="kafka:9092", stream_prefix="trial-").stream("onu")
        Stream(topic='trial-onu-events-topic', consumer_group='trial-onu-consumer-group')
        """
        deployed = STREAMS[provider]
        return Stream(self.stream_prefix + deployed.topic, self.stream_prefix + deployed.consumer_group)


def providers_named(names: tuple[str, ...]) -> tuple[str, ...]:
    """Give the providers that names stand for, each once, in the order of :data:`STREAMS`.

    Parameters
    ----------
    names : tuple of str
        Providers; ``"all"`` stands for every one.

    Raises
    ------
    ValueError
        A name is none of them.

    Examples
    --------
    >>> providers_named(("onu", "scada", "onu"))
    ('scada', 'onu')
    >>> providers_named(("all",))
    ('scada', 'onu', 'kaifa', 'call_center')
    """
    unknown = sorted(set(names) - {*STREAMS, "all"})
    if unknown:
        raise ValueError(f"no such source: {', '.join(unknown)}; known: {', '.join(STREAMS)}, all")
    return tuple(provider for provider in STREAMS if provider in names or "all" in names)
