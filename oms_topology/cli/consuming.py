"""``oms-topology events consume``: messages of a broker, taken in for as long as it runs."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from oms_topology.cli.common import DatabaseOption, opened
from oms_topology.service.consumers.logs import log_as_json
from oms_topology.service.consumers.process import ConsumerProcess
from oms_topology.service.consumers.settings import STREAMS, ConsumerSettings, providers_named

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["consume"]

_ENV = "OMS_TOPOLOGY_"


def consume(
    *,
    source: Annotated[
        list[str],
        typer.Option(
            envvar=f"{_ENV}SOURCES", metavar="NAME", help=f"One of {', '.join(STREAMS)}, or all; repeatable."
        ),
    ],
    bootstrap_servers: Annotated[
        str,
        typer.Option(
            envvar=f"{_ENV}BOOTSTRAP_SERVERS", metavar="HOST:PORT", help="Brokers, with commas between."
        ),
    ],
    database: DatabaseOption = None,
    batch_messages: Annotated[
        int,
        typer.Option(envvar=f"{_ENV}BATCH_MESSAGES", min=1, max=10_000, help="Messages in one transaction."),
    ] = 500,
    linger_ms: Annotated[
        float,
        typer.Option(
            envvar=f"{_ENV}LINGER_MS", min=0, max=10_000, help="How long a batch waits to be filled."
        ),
    ] = 10.0,
    session_timeout_s: Annotated[
        float,
        typer.Option(
            envvar=f"{_ENV}SESSION_TIMEOUT_S",
            min=1,
            max=300,
            help="When others take over from a silent member.",
        ),
    ] = 10.0,
    retry_limit_s: Annotated[
        float,
        typer.Option(envvar=f"{_ENV}RETRY_LIMIT_S", min=0.05, max=300, help="Longest wait between attempts."),
    ] = 5.0,
    health_port: Annotated[
        int | None,
        typer.Option(
            envvar=f"{_ENV}HEALTH_PORT",
            min=0,
            max=65535,
            show_default="no health page",
            help="Port of /health/live, /health/ready and /metrics; 0 for any free one, told in the log.",
        ),
    ] = None,
    health_host: Annotated[
        str, typer.Option(envvar=f"{_ENV}HEALTH_HOST", help="Address that the health page listens on.")
    ] = "127.0.0.1",
    stream_prefix: Annotated[
        str,
        typer.Option(
            envvar=f"{_ENV}STREAM_PREFIX",
            help="Put before the names of topics and groups.",
            show_default=False,
        ),
    ] = "",
    kafka_option: Annotated[
        list[str] | None,
        typer.Option(
            envvar=f"{_ENV}KAFKA_OPTIONS",
            metavar="NAME=VALUE",
            show_default=False,
            help="An option of librdkafka, such as security.protocol=SSL; repeatable.",
        ),
    ] = None,
    log_level: Annotated[
        str, typer.Option(envvar=f"{_ENV}LOG_LEVEL", help="debug, info, warning or error.")
    ] = "info",
) -> None:
    """Take messages in until SIGTERM or SIGINT; the batch in hand is finished first.

    Start as many as the topics have partitions; each message has its effects once, whoever dies.
    """  # fmt: skip
    log_as_json(_level(log_level))
    settings = ConsumerSettings(
        bootstrap_servers=bootstrap_servers,
        batch_messages=batch_messages,
        linger_s=linger_ms / 1000,
        session_timeout_s=session_timeout_s,
        retry_limit_s=retry_limit_s,
        stream_prefix=stream_prefix,
        kafka_options=_options(kafka_option or []),
    )
    health_address = None if health_port is None else (health_host, health_port)
    # The database may be away when a consumer starts: it waits for it as it would later.
    with opened(database, any_version=True) as target:
        process = ConsumerProcess(target, _providers(source), settings)
        with _stopped_by_signals(process):
            _run(process, health_address)


def _run(process: ConsumerProcess, health_address: tuple[str, int] | None) -> None:
    try:
        process.run(health_address=health_address)
    except OSError as error:
        raise typer.BadParameter(f"{error.strerror}", param_hint="--health-port") from None


@contextmanager
def _stopped_by_signals(process: ConsumerProcess) -> Iterator[None]:
    def stop(_number: int, _frame: object) -> None:
        process.stop.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _providers(names: list[str]) -> tuple[str, ...]:
    try:
        return providers_named(tuple(names))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--source") from None


def _options(pairs: list[str]) -> dict[str, str]:
    options = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    if len(options) != len(pairs):
        # The pair itself may hold a password.
        raise typer.BadParameter("write NAME=VALUE, each name once", param_hint="--kafka-option")
    return options


def _level(name: str) -> str:
    if name.lower() not in ("debug", "info", "warning", "error"):
        raise typer.BadParameter(f"no such level: {name}", param_hint="--log-level")
    return name
