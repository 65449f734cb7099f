"""How often each kind of report comes when it should and when it should not: what evidence weighs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from oms_topology.model import DeviceKind
from oms_topology.outages.units import UNITS_PER_NAT, log_odds, log_ratio

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EvidenceRates", "Priors", "ReportKind", "ReportRates"]

_LEAST, _MOST = 1e-6, 1.0 - 1e-6
_NUMBERS = (
    "most_per_node",
    "wrong_mapping",
    "dead_elsewhere",
    "dead_collector",
    "second_supply_holds",
    "own_trip_odds",
    "share_at_once",
)


class ReportKind(StrEnum):
    """What kind of evidence a report is; each kind has rates of its own.

    Examples
    --------
    >>> ReportKind.LAST_GASP.value
    'last_gasp'
    """

    LAST_GASP = "last_gasp"
    ONU_LOSS = "onu_loss"
    CALL = "call"
    POWER_UP = "power_up"
    SILENCE = "silence"
    PING = "ping"
    DEVICE = "device"


@dataclass(frozen=True, slots=True)
class ReportRates:
    """How reliable one kind of report is.

    Attributes
    ----------
    detection : float
        Probability that it comes when what it says is so.
    false_alarm : float
        Probability that it comes, in the course of one episode, when it is not so.
    delay : timedelta
        How long after the event it may take; only after that does its absence count in full.
    valid_for : timedelta or None
        How long it counts; None until something newer contradicts it.

    Examples
    --------
    >>> gasp = ReportRates(0.7, 0.001)
    >>> gasp.weight, gasp.weight_of_absence
    (6708, -1232)
    """

    detection: float
    false_alarm: float
    delay: timedelta = timedelta(0)
    valid_for: timedelta | None = None

    def __post_init__(self) -> None:
        if not _LEAST <= self.false_alarm < self.detection <= _MOST:
            raise ValueError(
                f"Rates must keep {_LEAST} <= false_alarm < detection <= {_MOST}, "
                f"got false_alarm={self.false_alarm} and detection={self.detection}."
            )

    @property
    def weight(self) -> int:
        """Log-likelihood ratio of a report, in 1/1024 nat."""
        return log_ratio(self.detection, self.false_alarm)

    @property
    def weight_of_absence(self) -> int:
        """Log-likelihood ratio of its not having come once it is overdue, in 1/1024 nat."""
        return log_ratio(1.0 - self.detection, 1.0 - self.false_alarm)

    def weight_while_waiting(self, share: float) -> int:
        """Give the weight of its not having come yet, when this share of all reports would be there.

        Examples
        --------
        >>> gasp = ReportRates(0.7, 0.001)
        >>> gasp.weight_while_waiting(0.0), gasp.weight_while_waiting(1.0)
        (0, -1232)
        """
        if share <= 0.0:
            return 0
        return log_ratio(1.0 - self.detection * share, 1.0 - self.false_alarm * share)


@dataclass(frozen=True, slots=True)
class Priors:
    """How probable it is, before anything is heard, that a device has failed now.

    Attributes
    ----------
    by_kind : mapping of DeviceKind to float
        Probability for one device of a kind. Only their ratios and their size against the false
        alarms matter much.

    Examples
    --------
    >>> Priors().log_odds(DeviceKind.METER) < Priors().log_odds(DeviceKind.DISTRIBUTION_POINT)
    True
    """

    by_kind: Mapping[DeviceKind, float] = field(
        default_factory=lambda: {
            DeviceKind.SUBSTATION: 2e-4,
            DeviceKind.FEEDER: 1e-3,
            DeviceKind.SECTION: 5e-4,
            DeviceKind.SWITCH: 5e-4,
            DeviceKind.DISTRIBUTION_POINT: 3e-4,
            DeviceKind.METER: 1e-4,
        }
    )

    def log_odds(self, kind: DeviceKind) -> int:
        """Give the prior log-odds of a kind, in 1/1024 nat."""
        return log_odds(self.by_kind[kind])


def _default_reports() -> dict[ReportKind, ReportRates]:
    return {
        ReportKind.LAST_GASP: ReportRates(0.6, 1e-4, timedelta(minutes=5)),
        ReportKind.ONU_LOSS: ReportRates(0.4, 1e-4, timedelta(minutes=3)),
        ReportKind.CALL: ReportRates(0.06, 1e-4, timedelta(minutes=30), timedelta(hours=4)),
        ReportKind.POWER_UP: ReportRates(0.9, 1e-3, timedelta(minutes=5)),
        ReportKind.SILENCE: ReportRates(0.9, 0.02, timedelta(minutes=15)),
        ReportKind.PING: ReportRates(0.98, 0.02, timedelta(minutes=1)),
        ReportKind.DEVICE: ReportRates(0.98, 1e-6, timedelta(minutes=1)),
    }


@dataclass(frozen=True, slots=True)
class EvidenceRates:
    """Everything that turns reports into weights: configuration, or learned from closed outages.

    Attributes
    ----------
    reports : mapping of ReportKind to ReportRates
        One entry for every kind. The detection rates are those over all meters, with equipment for
        the report or without, where it is not known who has it.
    priors : Priors
        Before anything is heard.
    most_per_node : int
        Bound of the evidence about one meter, either way, in 1/1024 nat: no meter's reports alone
        count for more, so that wrong rates and stuck meters do bounded harm.
    wrong_mapping : float
        Probability that a meter hangs elsewhere than the network says, unless learned for the meter.
    dead_elsewhere : float
        Probability that a meter that hangs elsewhere has no power.
    dead_collector : float
        Probability that a collector passes nothing on.
    second_supply_holds : float
        Probability that a meter with a second supply keeps its power when the first is lost.
    own_trip_odds : float
        How much more often a device reports its loss when it failed itself than when something above
        it did.
    share_at_once : float
        Share of all reports that is taken to be there at once when the first one is: from there the
        share that should have come grows evenly until the delay of its kind has passed.

    Examples
    --------
    >>> rates = EvidenceRates()
    >>> rates.with_reports({ReportKind.CALL: ReportRates(0.1, 1e-4)}).reports[ReportKind.CALL].weight
    7074
    """

    reports: Mapping[ReportKind, ReportRates] = field(default_factory=_default_reports)
    priors: Priors = field(default_factory=Priors)
    most_per_node: int = 12 * UNITS_PER_NAT
    wrong_mapping: float = 0.001
    dead_elsewhere: float = 0.001
    dead_collector: float = 0.005
    second_supply_holds: float = 0.5
    own_trip_odds: float = 8.0
    share_at_once: float = 0.2

    @classmethod
    def from_mapping(cls, said: Mapping[str, Any]) -> EvidenceRates:
        """Read rates from plain values, as a configuration or a column of the database holds them.

        Parameters
        ----------
        said : mapping
            ``reports``: by kind a mapping of ``detection``, ``false_alarm``, ``delay_s`` and
            ``valid_for_s``; ``priors``: a probability by kind of device; and any of the numbers by their
            names. What is left out keeps its default.

        Returns
        -------
        EvidenceRates
            ``EvidenceRates.from_mapping(rates.to_mapping()) == rates``.

        Raises
        ------
        ValueError
            A kind that there is none of, or rates that tell nothing.

        Examples
        --------
        >>> rates = EvidenceRates.from_mapping({"reports": {"call": {"detection": 0.02}}})
        >>> rates.reports[ReportKind.CALL].detection, rates.reports[ReportKind.CALL].valid_for
        (0.02, datetime.timedelta(seconds=14400))
        """
        usual = cls()
        reports = dict(usual.reports)
        for name, values in said.get("reports", {}).items():
            former = reports[ReportKind(name)]
            delay, valid_for = former.delay, former.valid_for
            if "delay_s" in values:
                delay = timedelta(seconds=float(values["delay_s"]))
            if "valid_for_s" in values:
                hold = values["valid_for_s"]
                valid_for = None if hold is None else timedelta(seconds=float(hold))
            reports[ReportKind(name)] = ReportRates(
                float(values.get("detection", former.detection)),
                float(values.get("false_alarm", former.false_alarm)),
                delay,
                valid_for,
            )
        priors = {DeviceKind(name): float(value) for name, value in said.get("priors", {}).items()}
        numbers = {name: said[name] for name in _NUMBERS if name in said}
        return replace(usual, reports=reports, priors=Priors({**usual.priors.by_kind, **priors}), **numbers)

    def to_mapping(self) -> dict[str, Any]:
        """Give the rates as plain values, for :meth:`from_mapping`, JSON or a report."""
        reports = {
            kind.value: {
                "detection": rates.detection,
                "false_alarm": rates.false_alarm,
                "delay_s": rates.delay.total_seconds(),
                "valid_for_s": rates.valid_for.total_seconds() if rates.valid_for else None,
            }
            for kind, rates in self.reports.items()
        }
        priors = {kind.value: value for kind, value in self.priors.by_kind.items()}
        return {"reports": reports, "priors": priors, **{name: getattr(self, name) for name in _NUMBERS}}

    def with_reports(self, reports: Mapping[ReportKind, ReportRates]) -> EvidenceRates:
        """Give the same with other rates for some kinds of report."""
        return replace(self, reports={**self.reports, **reports})
