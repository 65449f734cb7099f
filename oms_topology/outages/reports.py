"""What signals say of nodes: each provider's words as reports of loss, of power, or of being reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from oms_topology.model import CommunicationStatus, DeviceKind, PowerStatus, ReporterKind, Source
from oms_topology.outages.rates import ReportKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime

    from oms_topology.model import Signal
    from oms_topology.outages.forest import SupplyForest

__all__ = ["Report", "read_reports"]

_LOSSES = {
    Source.KAIFA: ReportKind.LAST_GASP,
    Source.SYSTEM: ReportKind.LAST_GASP,
    Source.ONU: ReportKind.ONU_LOSS,
    Source.SCADA: ReportKind.DEVICE,
    Source.CALL_CENTER: ReportKind.CALL,
}


class Report(NamedTuple):
    """What one signal says of one node.

    Attributes
    ----------
    node : int
        The node of the forest.
    kind : ReportKind
        Which rates it has.
    says_dead : bool or None
        Whether it says that power is lost; None where it speaks of communication alone.
    is_reached : bool or None
        Whether it says that the node can be reached; None where it says nothing of that.
    occurred_at : aware datetime, UTC
        When it happened.
    is_sound : bool
        False when that time is only the time of receipt.
    source : Source
        The provider.
    source_event_id : str
        The provider's id of the signal.
    """

    node: int
    kind: ReportKind
    says_dead: bool | None
    is_reached: bool | None
    occurred_at: datetime
    is_sound: bool
    source: Source
    source_event_id: str

    @property
    def order(self) -> tuple[bool, datetime, str, str]:
        """What is newer, and at one instant what counts: sound times first."""
        return self.is_sound, self.occurred_at, self.source.value, self.source_event_id


def read_reports(
    signals: Iterable[Signal], forest: SupplyForest, *, onus: Mapping[str, Collection[str]] | None = None
) -> tuple[list[Report], list[Signal]]:
    """Find the nodes that signals speak of.

    Parameters
    ----------
    signals : iterable of Signal
        Of any provider, in any order, repeated or not.
    forest : SupplyForest
        The nodes.
    onus : mapping of str to collection of str, optional
        Of an ONU, by its id or serial number, the meters that it serves, beside those that its
        messages name.

    Returns
    -------
    reports : list of Report
        One for each signal and node; a signal that comes again is left out.
    unplaced : list of Signal
        Those that say something, of nothing in this forest.
    """
    reports: list[Report] = []
    unplaced: list[Signal] = []
    seen = set()
    for signal in signals:
        key = signal.source, signal.source_event_id, signal.content_hash, signal.occurred_at
        if key in seen:
            continue
        seen.add(key)
        says_dead, is_reached = _said(signal)
        if says_dead is None and is_reached is None:
            continue
        kind = _kind(signal.source, says_dead, is_reached)
        when, is_sound = signal.occurred_at, signal.time_is_sound
        nodes = _nodes(signal, forest, onus or {})
        reports += [Report(node, kind, says_dead, is_reached, when, is_sound, *key[:2]) for node in nodes]
        if not nodes:
            unplaced.append(signal)
    return reports, unplaced


def _said(signal: Signal) -> tuple[bool | None, bool | None]:
    power, communication = signal.power_status, signal.communication_status
    says_dead = None if power is PowerStatus.UNKNOWN else power is PowerStatus.OFF
    is_reached = None
    if communication is not CommunicationStatus.UNKNOWN:
        is_reached = communication is CommunicationStatus.ONLINE
    return says_dead, is_reached


def _kind(source: Source, says_dead: bool | None, is_reached: bool | None) -> ReportKind:
    if source is Source.SCADA:
        return ReportKind.DEVICE
    if says_dead is None:
        return ReportKind.PING if is_reached else ReportKind.SILENCE
    return _LOSSES[source] if says_dead else ReportKind.POWER_UP


def _nodes(signal: Signal, forest: SupplyForest, onus: Mapping[str, Collection[str]]) -> list[int]:
    device, numbers = signal.device, set(signal.meter_numbers)
    if device.kind is ReporterKind.ONU:
        numbers.update(onus.get(device.code, ()))
    elif device.kind is DeviceKind.METER and not numbers:
        numbers.add(device.code)
    elif isinstance(device.kind, DeviceKind) and device.kind is not DeviceKind.METER:
        node = forest.node(device.kind, device.code)
        return [node] if node >= 0 else []
    return sorted({node for number in numbers if (node := forest.meter_node(number)) >= 0})
