"""What signals say of meters, without a database: a state that any order of arrival leads to.

The SQL functions ``oms_topology.power_history`` and ``record_meter_reports`` come to the same statuses.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from oms_topology.model import (
    CommunicationStatus,
    DeviceKind,
    DeviceReference,
    MeterStatus,
    PowerStatus,
    ReporterKind,
    Source,
    StatusReport,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from oms_topology.model import Signal

    Paths = Sequence[Sequence[DeviceReference]]
    _Reports = dict[tuple[str, str, str], StatusReport]

__all__ = ["ReportedStatuses", "fold"]

_RELIABILITY = {Source.SCADA: 5, Source.KAIFA: 4, Source.ONU: 3, Source.SYSTEM: 2, Source.CALL_CENTER: 1}
_OWN_KINDS = (DeviceKind.METER, ReporterKind.ONU)
_WHEN = attrgetter("occurred_at")
_NONE: _Reports = {}
_Status = TypeVar("_Status", PowerStatus, CommunicationStatus)
_Name = TypeVar("_Name", str, DeviceReference)


def fold(
    signals: Iterable[Signal],
    *,
    onus: Mapping[str, Collection[str]] | None = None,
    supplies: Mapping[str, Paths] | None = None,
) -> dict[str, MeterStatus]:
    """Tell what a set of signals says of each meter, however ordered and often repeated they are.

    Parameters
    ----------
    signals : iterable of Signal
        Of any providers; calls are evidence, and change nothing here.
    onus, supplies : mapping, optional
        As :class:`ReportedStatuses` takes them.

    Returns
    -------
    dict of str to MeterStatus
        By meter number, in order of number: meters that a signal names, and those of ``onus`` and
        ``supplies``.

    Examples
    --------
    >>> from oms_topology.events import parse
    >>> gasp = {"onuId": 7, "type": "ONU_LastGaspAlert", "timestamp": "2025-10-01T08:02:05Z",
    ...         "associatedMeters": ["M1"]}
    >>> back = gasp | {"type": "ONU_PowerRestored", "timestamp": "2025-10-01T08:31:45Z"}
    >>> signals = [signal for said in (back, gasp, back) for signal in parse("onu", said)]
    >>> status = fold(signals)["M1"]
    >>> status.power_status.value, status.last_power_change.isoformat()
    ('on', '2025-10-01T08:31:45+00:00')
    """
    statuses = ReportedStatuses(onus=onus, supplies=supplies)
    statuses.update(signals)
    return {meter: statuses.status(meter) for meter in statuses}


class ReportedStatuses:
    """The statuses of meters as reports give them: a set that grows signal by signal and can be merged.

    The status of a meter is a function of the set of reports: the newest time of event wins, of several at
    one instant the most reliable source's, then the greatest id; what has no possible time counts at its
    receipt, and only until something sound is known.

    Parameters
    ----------
    onus : mapping of str to collection of str, optional
        Of an ONU, by its id or serial number as signals give it, the meters that it serves. A meter that
        neither this nor ``supplies`` knows is on every ONU that ever named it.
    supplies : mapping of str to sequences of DeviceReference, optional
        Of a meter its paths of supply, each the devices above it that may report, nearest first. Without
        it only the meters' own reports count.

    Notes
    -----
    Meters are known by their numbers; where a registry knows further names of them (mRIDs of assets or of
    usage points), put the numbers into ``meter_numbers`` of the signals first. A signal is added in the time
    of its meters; a status costs the reports that bear on it, times the length of the paths.

    Examples
    --------
    >>> from oms_topology.events import parse
    >>> from oms_topology.model import DeviceKind, DeviceReference
    >>> feeder = DeviceReference(DeviceKind.FEEDER, "F1")
    >>> trip, = parse("scada", {"feederId": "F1", "alarmType": "De-energized",
    ...                         "timestamp": "2025-10-01T08:02:01Z"})
    >>> statuses = ReportedStatuses(supplies={"M1": [[feeder]], "M2": [[feeder]]})
    >>> statuses.add(trip)
    >>> statuses.status("M1").power_status.value, len(statuses)
    ('off', 2)
    >>> str(statuses.status("M2").power_report.device)
    'feeder F1'
    """

    def __init__(
        self,
        *,
        onus: Mapping[str, Collection[str]] | None = None,
        supplies: Mapping[str, Paths] | None = None,
    ) -> None:
        self._supplies = dict(supplies or {})
        self._served = {onu: frozenset(meters) for onu, meters in (onus or {}).items()}
        self._registered = frozenset(self._supplies).union(*self._served.values())
        self._onus_of: defaultdict[str, set[str]] = defaultdict(set)
        for onu, meters in self._served.items():
            for meter in meters:
                self._onus_of[meter].add(onu)
        self._of_meters: defaultdict[str, _Reports] = defaultdict(dict)
        self._of_onus: defaultdict[str, _Reports] = defaultdict(dict)
        self._of_devices: defaultdict[DeviceReference, _Reports] = defaultdict(dict)

    def add(self, signal: Signal) -> None:
        """Take one signal in; one that is known already changes nothing."""
        if signal.is_evidence_only:
            return
        report = _report_of(signal)
        device, meters = signal.device, signal.meter_numbers
        if device.kind is ReporterKind.ONU:
            _keep(self._of_onus[device.code], report)
            for meter in meters:
                if meter not in self._registered:
                    self._onus_of[meter].add(device.code)
        elif device.kind is not DeviceKind.METER:
            _keep(self._of_devices[device], report)
        elif not meters and signal.source is Source.SYSTEM:
            meters = (device.code,)
        for meter in meters:
            _keep(self._of_meters[meter], report)

    def update(self, signals: Iterable[Signal]) -> None:
        """Take signals in, in any order."""
        for signal in signals:
            self.add(signal)

    def merge(self, other: ReportedStatuses) -> None:
        """Take in whatever another one knows that was made with the same ``onus`` and ``supplies``."""
        for meter, onus in other._onus_of.items():
            self._onus_of[meter] |= onus
        _keep_all(self._of_meters, other._of_meters)
        _keep_all(self._of_onus, other._of_onus)
        _keep_all(self._of_devices, other._of_devices)

    def status(self, meter: str) -> MeterStatus:
        """Give a meter's present status; unknown for one of which nothing was said."""
        powers, words = self._powers(meter), self._words(meter)
        power, word = powers[-1] if powers else None, words[-1] if words else None
        return MeterStatus(
            power_status=power.status if power else PowerStatus.UNKNOWN,
            last_power_change=_last_change(powers),
            power_report=power.report if power else None,
            communication_status=word.status if word else CommunicationStatus.UNKNOWN,
            last_communication=word.at if word else None,
            last_communication_change=_last_change(words),
            communication_report=word.report if word else None,
        )

    def power_history(self, meter: str) -> tuple[tuple[datetime, PowerStatus], ...]:
        """Give when which power status of a meter began, in order of time; neighbours differ."""
        return tuple(_changes(self._powers(meter)))

    def communication_history(self, meter: str) -> tuple[tuple[datetime, CommunicationStatus], ...]:
        """Give when which communication status of a meter began, in order of time; neighbours differ."""
        return tuple(_changes(self._words(meter)))

    def __iter__(self) -> Iterator[str]:
        """Give the numbers of all meters that were named or are known, in order."""
        return iter(sorted(self._registered.union(self._of_meters)))

    def __len__(self) -> int:
        return len(self._registered.union(self._of_meters))

    def _reports(self, meter: str) -> Collection[StatusReport]:
        onus = self._onus_of.get(meter)
        reports = self._of_meters.get(meter, _NONE)
        if not onus:
            return reports.values()
        merged = dict(reports)
        for onu in onus:
            for report in self._of_onus.get(onu, _NONE).values():
                _keep(merged, report)
        return merged.values()

    def _words(self, meter: str) -> list[_Moment[CommunicationStatus]]:
        said = (r for r in self._reports(meter) if r.communication_status is not CommunicationStatus.UNKNOWN)
        return [_Moment(r.occurred_at, r.communication_status, r) for r in _standing(said)]

    def _powers(self, meter: str) -> list[_Moment[PowerStatus]]:
        own = filter(_says_power, self._reports(meter))
        paths = self._supplies.get(meter, ())
        above = [
            report
            for device in dict.fromkeys(device for path in paths for device in path)
            for report in _standing(filter(_says_power, self._of_devices.get(device, _NONE).values()))
        ]
        view = _View(paths)
        moments = []
        for at, reports in groupby(sorted([*own, *above], key=_placed), key=_WHEN):
            for report in reports:
                view.hear(report)
            moments.append(_Moment(at, *view.judged()))
        return moments


class _View:
    """What is known of a meter's power at an instant, as one goes through its reports in order of time."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._own: StatusReport | None = None
        self._told_off: StatusReport | None = None
        self._live: StatusReport | None = None
        self._latest: dict[DeviceReference, StatusReport] = {}

    def hear(self, report: StatusReport) -> None:
        """Take in a report no older than those before."""
        if report.device.kind not in _OWN_KINDS:
            self._latest[report.device] = report
            if report.power_status is PowerStatus.ON:
                self._live = report
        elif report.source is Source.SYSTEM and report.power_status is PowerStatus.OFF:
            self._told_off = report
        elif self._own is None or _weight(report) > _weight(self._own):
            self._own = report

    def judged(self) -> tuple[PowerStatus, StatusReport | None]:
        """Give the power status, and the report that decides it."""
        own, live, lost = self._own, self._live, self._loss()
        if lost and not (own and own.power_status is PowerStatus.ON and own.occurred_at > lost.occurred_at):
            return PowerStatus.OFF, lost
        if own:
            return own.power_status, own
        return (PowerStatus.ON, live) if live else (PowerStatus.UNKNOWN, None)

    def _loss(self) -> StatusReport | None:
        losses = [self._loss_on(path) for path in self._paths]
        lost = max(filter(None, losses), key=_WHEN) if losses and all(losses) else None
        told, live = self._told_off, self._live
        # An older service's word is as good as a loss above the meter, until supply returns there.
        if told and (live is None or told.occurred_at > live.occurred_at):
            return max(filter(None, (lost, told)), key=_WHEN)
        return lost

    def _loss_on(self, path: Sequence[DeviceReference]) -> StatusReport | None:
        # Nearest first: what is nearer and was live later outdates a loss.
        lost = live = None
        for device in path:
            report = self._latest.get(device)
            if report is None:
                continue
            if report.power_status is PowerStatus.ON:
                live = max(filter(None, (live, report)), key=_WHEN)
            elif live is None or live.occurred_at <= report.occurred_at:
                lost = max(filter(None, (lost, report)), key=_WHEN)
        return lost


class _Moment(NamedTuple, Generic[_Status]):
    at: datetime
    status: _Status
    report: StatusReport | None


def _changes(moments: Sequence[_Moment[_Status]]) -> Iterator[tuple[datetime, _Status]]:
    before: str = "unknown"
    for moment in moments:
        if moment.status != before:
            yield moment.at, moment.status
        before = moment.status


def _last_change(moments: Sequence[_Moment[_Status]]) -> datetime | None:
    return max((at for at, _ in _changes(moments)), default=None)


def _report_of(signal: Signal) -> StatusReport:
    return StatusReport(
        signal.source,
        signal.source_event_id,
        signal.content_hash,
        signal.device,
        signal.occurred_at,
        signal.received_at,
        signal.time_is_sound,
        signal.power_status,
        signal.communication_status,
    )


def _keep(reports: _Reports, report: StatusReport) -> None:
    key = report.source, report.source_event_id, report.content_hash
    known = reports.setdefault(key, report)
    # Copies of one event that came by different ways: the first receipt counts.
    if known is not report and _received(report) < _received(known):
        reports[key] = report


def _keep_all(ours: defaultdict[_Name, _Reports], theirs: Mapping[_Name, _Reports]) -> None:
    for name, reports in theirs.items():
        for report in reports.values():
            _keep(ours[name], report)


def _says_power(report: StatusReport) -> bool:
    return report.power_status is not PowerStatus.UNKNOWN


def _standing(reports: Iterable[StatusReport]) -> list[StatusReport]:
    # One report an instant; those without a sound time only until the first that has one.
    ordered = sorted(reports, key=_placed)
    first = next((report.occurred_at for report in ordered if report.time_is_sound), None)
    last_of = {
        report.occurred_at: report
        for report in ordered
        if report.time_is_sound or first is None or report.occurred_at < first
    }
    return list(last_of.values())


def _placed(report: StatusReport) -> tuple[datetime, bool, int, str, str]:
    return (
        report.occurred_at,
        report.time_is_sound,
        _RELIABILITY[report.source],
        report.source_event_id,
        report.content_hash,
    )


def _weight(report: StatusReport) -> tuple[bool, tuple[datetime, bool, int, str, str]]:
    return report.time_is_sound, _placed(report)


def _received(report: StatusReport) -> tuple[datetime, datetime, bool]:
    return report.received_at, report.occurred_at, report.time_is_sound
