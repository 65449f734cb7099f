"""One morning on the ieee9500 sample, as its messages came: calls, gasps, SCADA, supply."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from oms_topology import Topology, samples

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FEEDER", "LATERAL", "OTHER_LATERAL", "STORY", "Step", "network"]

FEEDER = "m1047300"
LATERAL = "d5956499-2_int"
OTHER_LATERAL = "d2000401_int"
_Message = tuple[str, dict[str, Any]]


class Step(NamedTuple):
    """What came by an instant.

    Attributes
    ----------
    title : str
        What happens.
    at : datetime
        When the worker looks.
    messages : sequence of (str, dict)
        What came since the step before, each with its provider.
    """

    title: str
    at: datetime
    messages: Sequence[_Message]


@cache
def network() -> Topology:
    """The network of the story."""
    return samples.load("ieee9500")


def _meters(lateral: str) -> list[str]:
    return list(network().downstream(lateral))


def _time(clock: str) -> datetime:
    hour, minute, second = (int(part) for part in clock.split(":"))
    return datetime(2025, 10, 1, hour, minute, second, tzinfo=UTC)


def _stamp(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _calls(meters: Sequence[str], clock: str) -> list[_Message]:
    first = _time(clock)
    return [
        ("call_center", {"ticketId": f"TC-{clock}-{meter}", "customer": {"meterNumber": meter},
                         "timestamp": _stamp(first + timedelta(minutes=place))})
        for place, meter in enumerate(meters)
    ]  # fmt: skip


def _told(kind: str, meters: Sequence[str], clock: str) -> list[_Message]:
    at = _stamp(_time(clock))
    return [
        ("onu", {"eventId": f"{kind}-{meter}-{clock}", "type": kind, "timestamp": at,
                 "associatedMeters": [meter]})
        for meter in meters
    ]  # fmt: skip


def _feeder(alarm: str, clock: str) -> list[_Message]:
    return [("scada", {"feederId": FEEDER, "alarmType": alarm, "timestamp": _stamp(_time(clock)),
                       "reason": "Tree on the line"})]  # fmt: skip


def _story() -> tuple[Step, ...]:
    lateral, other = _meters(LATERAL), _meters(OTHER_LATERAL)
    gasp, back = "ONU_LastGaspAlert", "ONU_PowerRestored"
    return (
        Step("Customers call", _time("08:07:00"), _calls(lateral[:4], "08:03:00")),
        Step("Last gasps come in", _time("08:10:00"), _told(gasp, lateral, "08:02:05")),
        Step("Gasps of another lateral", _time("08:12:00"), _told(gasp, other[:9], "08:02:06")),
        Step("SCADA reports the feeder", _time("08:20:00"), _feeder("De-energized", "08:02:01")),
        Step("The other lateral has power", _time("08:40:00"), _told(back, other[:6], "08:35:00")),
        Step("SCADA: the feeder is back", _time("08:55:00"), _feeder("Energized", "08:50:00")),
        Step("The others have power", _time("09:30:00"), _told(back, other[6:9], "08:51:00")),
        Step("The lateral is mended", _time("10:20:00"), _told(back, lateral, "10:05:00")),
    )  # fmt: skip


STORY = _story()
