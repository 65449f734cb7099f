"""The words of the trade: frozen values that every other room speaks in."""

from oms_topology.model.finding import Finding, FindingSeverity
from oms_topology.model.kinds import (
    CommunicationStatus,
    DeviceKind,
    OutageStatus,
    PowerStatus,
    ReporterKind,
    Source,
)
from oms_topology.model.network import NetworkColumns
from oms_topology.model.receipt import Receipt
from oms_topology.model.signal import DeviceReference, Signal, SignalFinding
from oms_topology.model.status import MeterStatus, StatusReport
from oms_topology.model.stream_position import StreamPosition
from oms_topology.model.trace import PathStep

__all__ = [
    "CommunicationStatus",
    "DeviceKind",
    "DeviceReference",
    "Finding",
    "FindingSeverity",
    "MeterStatus",
    "NetworkColumns",
    "OutageStatus",
    "PathStep",
    "PowerStatus",
    "Receipt",
    "ReporterKind",
    "Signal",
    "SignalFinding",
    "Source",
    "StatusReport",
    "StreamPosition",
]
