"""Conclusions as values: the outages that the evidence supports at an instant, and why."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from oms_topology.model import DeviceKind
from oms_topology.outages.asking import most_telling
from oms_topology.outages.units import UNITS_PER_NAT

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

    from oms_topology.model import DeviceReference, Signal, Source
    from oms_topology.outages.evidence import Evidence
    from oms_topology.outages.forest import SupplyForest
    from oms_topology.outages.inference import Posteriors
    from oms_topology.outages.rates import ReportKind
    from oms_topology.outages.reports import Report

__all__ = ["Alternative", "Assessment", "ConcludedOutage", "MeterConclusion", "Support"]


@dataclass(frozen=True, slots=True)
class Support:
    """One report that bears on an outage.

    Attributes
    ----------
    source, source_event_id
        The provider and its id of the signal.
    kind : ReportKind
        What kind of report it is.
    device : DeviceReference
        The device or meter that it is about.
    occurred_at : aware datetime, UTC
        When it happened.
    weight_nats : float
        Its log-likelihood ratio: above 0 it speaks for a loss of power, below 0 against it.
    """

    source: Source
    source_event_id: str
    kind: ReportKind
    device: DeviceReference
    occurred_at: datetime
    weight_nats: float

    def __str__(self) -> str:
        return (
            f"{self.occurred_at.isoformat()} {self.device}: {self.kind} ({self.source}), "
            f"{self.weight_nats:+.2f} nat"
        )


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another device that could be to blame, and how probably."""

    device: DeviceReference
    posterior: float


@dataclass(frozen=True, slots=True)
class ConcludedOutage:
    """One device that is concluded to have failed below a living supply.

    Attributes
    ----------
    device : DeviceReference
        The blamed device: it, or the branch that feeds it.
    switch : str or None
        Code of the switch in that branch.
    started_at : aware datetime, UTC
        Its own report's time, else the first report of the run of reports with the most of them.
    posterior : float
        Probability that this device failed.
    dead_posterior : float
        Probability that it has no power, for whatever reason.
    meter_numbers : tuple of str
        Meters supplied by it, in preorder.
    meters_heard_again : int
        Those of them whose own newest word is that they have power.
    customers : int
        Distinct customers of these meters; a meter without one counts as one.
    critical_customers : int
        Those of them with a meter of criticality 1.
    severity : str
        ``critical``, ``high``, ``medium`` or ``low``, by customers.
    substation, feeder, distribution_point : str or None
        Codes of the nearest device of each kind at or above it.
    supports : tuple of Support
        Reports about it and everything below, the oldest first.
    absence_nats : float
        What the reports that did not come add to these.
    alternatives : tuple of Alternative
        Other devices, above and below, that could be the cause, the most probable first.
    """

    device: DeviceReference
    switch: str | None
    started_at: datetime
    posterior: float
    dead_posterior: float
    meter_numbers: tuple[str, ...]
    meters_heard_again: int
    customers: int
    critical_customers: int
    severity: str
    substation: str | None
    feeder: str | None
    distribution_point: str | None
    supports: tuple[Support, ...]
    absence_nats: float
    alternatives: tuple[Alternative, ...]

    @property
    def confidence_score(self) -> Decimal:
        """The posterior as the database shows it: two digits, rounded down."""
        return Decimal(repr(self.posterior)).quantize(Decimal("0.01"), rounding=ROUND_DOWN)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why, in words: one sentence each."""
        heard = [support for support in self.supports if support.weight_nats > 0]
        against = len(self.supports) - len(heard)
        about = {support.device for support in heard}
        own = [support for support in heard if support.device == self.device]
        said = [f"{self.device} reports that it has no power."] if own else []
        if others := len(about - {self.device}):
            weight = sum(support.weight_nats for support in heard if support not in own)
            said.append(f"{others} of what it supplies reported a loss, which weighs {weight:+.1f} nat.")
        if against:
            said.append(f"{against} reports speak against it.")
        said.append(f"The reports that did not come weigh {self.absence_nats:+.1f} nat.")
        if self.alternatives:
            other = self.alternatives[0]
            said.append(f"Next to it {other.device} is probable by {other.posterior:.3f}.")
        return tuple(said)

    def __str__(self) -> str:
        return (
            f"{self.device} has failed with probability {self.posterior:.3f} since "
            f"{self.started_at.isoformat()}: {self.customers} customers"
        )


@dataclass(frozen=True, slots=True)
class MeterConclusion:
    """What is concluded about one meter.

    Attributes
    ----------
    meter_number : str
        The meter.
    dead_posterior : float
        Probability that it has no power.
    outage : ConcludedOutage or None
        The outage that takes its power, if one does.
    supports : tuple of Support
        Its own reports, the oldest first.
    """

    meter_number: str
    dead_posterior: float
    outage: ConcludedOutage | None
    supports: tuple[Support, ...]

    def __str__(self) -> str:
        lines = [f"Meter {self.meter_number} has no power with probability {self.dead_posterior:.3f}."]
        if self.outage:
            lines += [f"To blame: {self.outage}.", *self.outage.reasons]
        lines += [f"  {support}" for support in self.supports]
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class Assessment:
    """Everything concluded from a set of signals at an instant.

    Attributes
    ----------
    at : aware datetime, UTC
        The instant.
    outages : tuple of ConcludedOutage
        From the source down, one for each blamed device.
    suspicions : tuple of ConcludedOutage
        What silence alone would blame: never an outage, but worth a ping.
    unplaced : tuple of Signal
        Signals about nothing that this network knows.
    forest : SupplyForest
        The nodes.
    posteriors : Posteriors
        Of all nodes.
    evidence : Evidence
        What they follow from.
    """

    at: datetime
    outages: tuple[ConcludedOutage, ...]
    suspicions: tuple[ConcludedOutage, ...]
    unplaced: tuple[Signal, ...]
    forest: SupplyForest
    posteriors: Posteriors
    evidence: Evidence

    @cached_property
    def outage_at(self) -> dict[int, ConcludedOutage]:
        """The outage of each blamed node."""
        nodes = [self.forest.node(DeviceKind(each.device.kind), each.device.code) for each in self.outages]
        return dict(zip(nodes, self.outages, strict=True))

    @cached_property
    def _outage_of(self) -> dict[str, ConcludedOutage]:
        return {number: outage for outage in self.outages for number in outage.meter_numbers}

    def explain(self, meter_number: str) -> MeterConclusion:
        """Tell what is concluded about a meter, and why.

        Parameters
        ----------
        meter_number : str
            The meter. One that is unknown or without supply by switching has probability nan.

        Returns
        -------
        MeterConclusion
            Its text is an explanation in words.
        """
        node = self.forest.meter_node(meter_number)
        probable = float(self.posteriors.is_dead[node]) if node >= 0 else float("nan")
        own = [each for each in self.evidence.standing if each.report.node == node]
        return MeterConclusion(
            meter_number,
            probable,
            self._outage_of.get(meter_number),
            tuple(support_of(self.forest, each.report, each.weight) for each in own),
        )

    def next_question(self, *, least_doubt: float = 0.02) -> str | None:
        """Give the meter whose answer to a ping tells most; None when all are as good as known.

        Ask again with the answer among the signals: that needs the fewest questions.
        """
        meters = np.arange(self.forest.devices, len(self.forest), dtype=np.int32)
        node = most_telling(self.posteriors.is_dead, meters, least_doubt=least_doubt)
        return self.forest.reference(node).code if node >= 0 else None

    def dead_probabilities(self) -> tuple[NDArray[np.object_], NDArray[np.float64]]:
        """Give numbers of all meters with supply, in preorder, and the probability that each is dead."""
        numbers = self.forest.index.network.columns.meter_number[self.forest.meter_rows]
        return numbers, self.posteriors.is_dead[self.forest.devices :]


def support_of(forest: SupplyForest, report: Report, weight: int) -> Support:
    """Tell of a report whom it is about, and its weight in nats."""
    return Support(
        report.source,
        report.source_event_id,
        report.kind,
        forest.reference(report.node),
        report.occurred_at,
        weight / UNITS_PER_NAT,
    )
