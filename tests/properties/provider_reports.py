"""What the four providers may say of a small network, and what a set of it means: an oracle in plain Python.

It is written from the decisions alone and looks at the whole set at once; it knows no order of arrival.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from oms_topology.events import ReportedStatuses, parse
from oms_topology.model import (
    CommunicationStatus,
    DeviceKind,
    DeviceReference,
    MeterStatus,
    PowerStatus,
    Signal,
    Source,
)
from tests.acceptance.scada_grid import at
from tests.properties.test_scada_order import FOREVER, NAMES, SUPPLIES, Oracle, Said, chain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

__all__ = [
    "REGISTRY",
    "Asset",
    "Call",
    "Onu",
    "ProviderOracle",
    "Request",
    "Spoken",
    "empty_statuses",
    "signals_of",
    "spoken_sets",
    "told_by",
]

# ONU 1: M1 M2, ONU 2: M3 M8; ONU 3 and the meters X1, X2 are in no registry.
REGISTRY = """
UPDATE oms_meters SET onu_id = CASE WHEN meter_number IN ('M1', 'M2') THEN 1 ELSE 2 END
WHERE meter_number IN ('M1', 'M2', 'M3', 'M8');
UPDATE oms_meters SET asset_mrid = 'A1' WHERE meter_number = 'M1';
UPDATE oms_meters SET usage_point_mrid = 'P4' WHERE meter_number = 'M4'
"""
ON_ONU = {1: {"M1", "M2"}, 2: {"M3", "M8"}, 3: set[str]()}
RELIABILITY = {"scada": 5, "kaifa": 4, "onu": 3, "system": 2}
UNSOUND = "1990-01-01T00:00:00Z"
ONU_SAYS = {
    "ONU_LastGaspAlert": ("off", "offline"), "ONU_PowerRestored": ("on", "online"),
    "ONU_LossOfSignal": (None, "offline"), "ONU_Online": (None, "online"), "Reboot": (None, None),
}  # fmt: skip
KAIFA_SAYS = {
    "PowerOutage": ("off", "offline"), "3.26.136.216": ("on", "online"), "3.23.136.47": (None, "offline"),
    "3.12.29.212": (None, "online"), "9.9.9.9": (None, None),
}  # fmt: skip


@dataclass(frozen=True)
class Spoken:
    """One message about meters themselves, stamped in minutes after noon; None is no sound time."""

    minute: int | None
    source: str = field(init=False)

    @property
    def payload(self) -> dict[str, Any]:
        raise NotImplementedError

    @property
    def says(self) -> tuple[str | None, str | None]:
        """Power and communication; None is nothing."""
        return None, None

    @property
    def named(self) -> set[str]:
        """Meters that the message itself names."""
        return set()

    @property
    def stamp(self) -> str:
        return UNSOUND if self.minute is None else at(self.minute).isoformat()

    @property
    def rank(self) -> tuple[int, str, str]:
        (signal,) = parse(self.source, self.payload)
        return RELIABILITY[self.source], signal.source_event_id, signal.content_hash


@dataclass(frozen=True)
class Onu(Spoken):
    """An ONU's message."""

    kind: str
    onu: int
    meters: tuple[str, ...]
    key: str

    source: str = field(default="onu", init=False)

    @property
    def payload(self) -> dict[str, Any]:
        return {
            "eventId": self.key, "type": self.kind, "onuId": self.onu, "timestamp": self.stamp,
            "associatedMeters": list(self.meters),
        }  # fmt: skip

    @property
    def says(self) -> tuple[str | None, str | None]:
        return ONU_SAYS[self.kind]

    @property
    def named(self) -> set[str]:
        return set(self.meters)


@dataclass(frozen=True)
class Asset(Spoken):
    """An end device event."""

    ref: str
    mrids: tuple[str, ...]
    point: str | None
    key: str

    source: str = field(default="kaifa", init=False)

    @property
    def payload(self) -> dict[str, Any]:
        return {
            "message_type": "EndDeviceEvent",
            "header": {"message_id": self.key},
            "payload": {
                "event_id": "e", "created_date_time": self.stamp, "event_type": {"@ref": self.ref},
                "assets": [{"mRID": mrid} for mrid in self.mrids],
                "usage_point": {"mRID": self.point} if self.point else None,
            },
        }  # fmt: skip

    @property
    def says(self) -> tuple[str | None, str | None]:
        return KAIFA_SAYS[self.ref]

    @property
    def named(self) -> set[str]:
        if self.point == "P4" and (not self.mrids or self.mrids == ("X1",) or self.mrids == ("X2",)):
            return {"M4"}  # nobody knows the asset, and one registered meter has the usage point
        return {"M1" if mrid == "A1" else mrid for mrid in self.mrids}


@dataclass(frozen=True)
class Call(Spoken):
    """A customer's call: evidence, and no status."""

    meter: str
    key: str

    source: str = field(default="call_center", init=False)

    @property
    def payload(self) -> dict[str, Any]:
        return {"ticketId": self.key, "timestamp": self.stamp, "customer": {"meterNumber": self.meter}}

    @property
    def named(self) -> set[str]:
        return {self.meter}


@dataclass(frozen=True)
class Request(Spoken):
    """What an older service says by update_meter_status."""

    source: str
    meter: str
    status: str

    @property
    def payload(self) -> dict[str, Any]:
        kind = {"on": "power_on", "off": "power_off", "online": "communication_restored"}
        return {
            "meter": self.meter, "status": self.status, "kind": kind.get(self.status, "communication_lost"),
            "source": self.source, "key": f"{self.meter}-{self.status}-{self.minute}", "at": self.stamp,
        }  # fmt: skip

    @property
    def says(self) -> tuple[str | None, str | None]:
        return (self.status, None) if self.status in ("on", "off") else (None, self.status)

    @property
    def named(self) -> set[str]:
        return {self.meter}

    @property
    def rank(self) -> tuple[int, str, str]:
        return RELIABILITY[self.source], self.payload["key"], ""


@dataclass(frozen=True)
class _Own:
    when: datetime
    is_sound: bool
    rank: tuple[int, str, str]
    status: str
    is_of_system: bool

    @property
    def order(self) -> tuple[bool, datetime, tuple[int, str, str]]:
        return self.is_sound, self.when, self.rank


class ProviderOracle(Oracle):
    """What a set of messages means, those without a sound time received at one instant."""

    def __init__(self, messages: Iterable[Spoken | Said], received_at: datetime) -> None:
        messages = set(messages)
        super().__init__([m for m in messages if isinstance(m, Said)])
        spoken = [m for m in messages if isinstance(m, Spoken)]
        self.meters = set(SUPPLIES).union(*(m.named for m in spoken))
        self.powers: dict[str, list[_Own]] = {meter: [] for meter in self.meters}
        self.links: dict[str, list[_Own]] = {meter: [] for meter in self.meters}
        on_onu = {
            onu: known
            | {x for m in spoken if isinstance(m, Onu) and m.onu == onu for x in m.named - set(SUPPLIES)}
            for onu, known in ON_ONU.items()
        }
        for message in spoken:
            is_sound = message.minute is not None
            when = at(message.minute) if message.minute is not None else received_at
            concerned = message.named | (on_onu[message.onu] if isinstance(message, Onu) else set())
            for status, said in zip(message.says, (self.powers, self.links), strict=True):
                if status is not None:
                    own = _Own(when, is_sound, message.rank, status, message.source == "system")
                    for meter in concerned:
                        said[meter].append(own)

    def instants(self) -> set[datetime]:
        own = {r.when for said in self.powers.values() for r in said}
        return own | {r.when for reports in self.reports.values() for r in reports}

    def supply_lost_at(self, meter: str, when: datetime) -> datetime | None:
        return super().supply_lost_at(meter, when) if meter in SUPPLIES else None

    def power(self, meter: str, when: datetime) -> str:
        own = max(
            (r for r in self.powers[meter] if r.when <= when and not (r.is_of_system and r.status == "off")),
            key=lambda r: r.order,
            default=None,
        )
        above = {d for supply in SUPPLIES.get(meter, ()) for d in chain(supply)}
        live = [r.when for d in above for r in self.reports.get(d, []) if r.when <= when and not r.is_dead]
        lost = self.supply_lost_at(meter, when)
        # An older service's "off" is as good as a loss above the meter, until supply returns there.
        told = [r.when for r in self.powers[meter] if r.when <= when and r.is_of_system and r.status == "off"]
        if told and max(told) > max(live, default=at(-FOREVER.year)):
            lost = max(filter(None, [lost, max(told)]))
        if lost and not (own and own.status == "on" and own.when > lost):
            return "off"
        if own:
            return own.status
        return "on" if live else "unknown"

    def changes(self, meter: str) -> list[tuple[datetime, str]]:
        return _runs("unknown", [(when, self.power(meter, when)) for when in sorted(self.instants())])

    def heard(self, meter: str) -> list[_Own]:
        """Reports about reaching a meter, of one instant the one that counts, in order of time."""
        first = min((r.when for r in self.links[meter] if r.is_sound), default=FOREVER)
        standing = [r for r in self.links[meter] if r.is_sound or r.when < first]
        return [
            max((r for r in standing if r.when == when), key=lambda r: r.order)
            for when in sorted({r.when for r in standing})
        ]

    def link_changes(self, meter: str) -> list[tuple[datetime, str]]:
        return _runs("unknown", [(r.when, r.status) for r in self.heard(meter)])

    def status(self, meter: str) -> dict[str, Any]:
        power, link, heard = self.changes(meter), self.link_changes(meter), self.heard(meter)
        since = [found[-1][0] for found in (power, link) if found]
        return {
            "power_status": power[-1][1] if power else "unknown",
            "last_power_change": power[-1][0] if power else None,
            "communication_status": link[-1][1] if link else "unknown",
            "last_communication": heard[-1].when if heard else None,
            "last_status_change": max(since, default=None),
        }


def _runs(before: str, told: Sequence[tuple[datetime, str]]) -> list[tuple[datetime, str]]:
    found = []
    for when, status in told:
        if status != before:
            found.append((when, status))
        before = status
    return found


def empty_statuses() -> ReportedStatuses:
    """The fold of the package, with the network and the registry of these messages."""
    reporting = {name: _reference(said) for name, said in NAMES.items()}
    paths = {
        meter: [[reporting[name] for name in chain(supply) if name in reporting] for supply in supplies]
        for meter, supplies in SUPPLIES.items()
    }
    return ReportedStatuses(supplies=paths, onus={str(onu): meters for onu, meters in ON_ONU.items()})


def _reference(said: dict[str, str]) -> DeviceReference:
    kind = next(kind for kind in ("switch", "feeder", "substation") if kind in said)
    return DeviceReference(DeviceKind(kind), said[kind])


def signals_of(message: Spoken | Said, received_at: datetime) -> tuple[Signal, ...]:
    """A message's signals, with the meters that the registry knows behind the names it uses."""
    if isinstance(message, Said):
        return parse("scada", message.message, received_at=received_at)
    if isinstance(message, Request):
        return (_signal_of(message, received_at),)
    signals = parse(message.source, message.payload, received_at=received_at)
    return tuple(replace(signal, meter_numbers=tuple(sorted(message.named))) for signal in signals)


def _signal_of(request: Request, received_at: datetime) -> Signal:
    power, link = request.says
    return Signal(
        source=Source(request.source),
        source_event_id=request.payload["key"],
        content_hash="",
        device=DeviceReference(DeviceKind.METER, request.meter),
        meter_numbers=(request.meter,),
        power_status=PowerStatus(power or "unknown"),
        communication_status=CommunicationStatus(link or "unknown"),
        occurred_at=at(request.minute or 0),
        received_at=received_at,
    )


def told_by(status: MeterStatus) -> dict[str, Any]:
    """A status as the columns of the registry."""
    return {
        "power_status": status.power_status.value,
        "last_power_change": status.last_power_change,
        "communication_status": status.communication_status.value,
        "last_communication": status.last_communication,
        "last_status_change": status.last_status_change,
    }


minutes = st.integers(1, 10)
stamps = st.one_of(minutes, minutes, minutes, minutes, st.none())
keys = st.sampled_from([f"K{n}" for n in range(8)])
numbers = st.sampled_from(["M3", "M4", "X1", "X2"])
spoken = st.one_of(
    st.builds(
        Onu,
        stamps,
        st.sampled_from(sorted(ONU_SAYS)),
        st.sampled_from([1, 2, 3]),
        st.lists(numbers, max_size=2, unique=True).map(tuple),
        keys,
    ),
    st.builds(
        Asset,
        stamps,
        st.sampled_from(sorted(KAIFA_SAYS)),
        st.lists(st.sampled_from(["A1", "M2", "M4", "X1", "X2"]), min_size=1, max_size=2, unique=True).map(
            tuple
        ),
        st.sampled_from([None, None, "P4"]),
        keys,
    ),
    st.builds(Call, minutes, numbers, keys),
    st.builds(
        Request,
        minutes,
        st.sampled_from(["kaifa", "onu", "system"]),
        st.sampled_from(["M1", "M2", "M4", "M8"]),
        st.sampled_from(["on", "off", "online", "offline"]),
    ),
)
said = st.builds(
    Said,
    st.sampled_from(sorted(NAMES)),
    st.booleans(),
    minutes,
    st.sampled_from(["first", "second"]),
    st.sampled_from([True, True, True, True, False]),
)


@st.composite
def spoken_sets(draw: st.DrawFn, *, least: int = 1, most: int = 20) -> tuple[list[Spoken | Said], int]:
    """Different messages of all providers, and the minute at which they are received."""
    received = draw(st.sampled_from([6, 30]))
    messages = draw(st.lists(st.one_of(spoken, spoken, said), min_size=least, max_size=most, unique=True))
    # What has no sound time counts when it is received.
    return [
        replace(m, minute=received) if isinstance(m, Said) and not m.is_sound else m for m in messages
    ], received
