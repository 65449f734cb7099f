"""From signals to conclusions: which outages there are at an instant, each with its reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from oms_topology.model import DeviceKind
from oms_topology.outages.affected import Affected
from oms_topology.outages.assessment import Alternative, Assessment, ConcludedOutage, support_of
from oms_topology.outages.collectors import CollectorInference, Likelihoods
from oms_topology.outages.evidence import weigh
from oms_topology.outages.forest import METER, SupplyForest
from oms_topology.outages.inference import ForestInference
from oms_topology.outages.mapping import doubted
from oms_topology.outages.rates import EvidenceRates, ReportKind
from oms_topology.outages.reports import read_reports
from oms_topology.outages.rules import counted_blame
from oms_topology.outages.starts import start_of
from oms_topology.outages.switched_off import with_switched_off
from oms_topology.outages.units import UNITS_PER_NAT, log_odds

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from oms_topology.graph.topology import Topology
    from oms_topology.model import Signal
    from oms_topology.outages.evidence import Evidence
    from oms_topology.outages.inference import Posteriors
    from oms_topology.outages.losses import PlannedWindow
    from oms_topology.outages.reports import Report
    from oms_topology.outages.rules import CorrelationRules

__all__ = [
    "KnownEquipment",
    "Writer",
    "assess",
    "assessed",
    "began_at",
    "inference_of",
    "prior_of",
    "wrong_mapping_of",
]

_LEAST_ALTERNATIVE = 0.01
_MOST_ALTERNATIVES = 5


@dataclass(frozen=True, slots=True)
class KnownEquipment:
    """What is known of how meters report; every part may be left out.

    Attributes
    ----------
    onus : mapping of str to collection of str
        Of an ONU, by its id or serial number, the meters that it serves.
    equipped : mapping of ReportKind to collection of str
        The meters that can send a kind of report; where a kind is left out, the rates hold for all.
        Under ``SILENCE`` those of which the head-end tells when it cannot reach them: that it reaches
        the others counts only then.
    collectors : mapping of str to str
        Of a meter, the collector (OLT, concentrator) that its reports come through.
    wrong_mapping : mapping of str to float
        Of a meter, the learned probability that it hangs elsewhere than the network says.
    """

    onus: Mapping[str, Collection[str]] | None = None
    equipped: Mapping[ReportKind, Collection[str]] | None = None
    collectors: Mapping[str, str] | None = None
    wrong_mapping: Mapping[str, float] | None = None


def assess(
    signals: Iterable[Signal],
    network: SupplyForest | Topology,
    *,
    at: datetime,
    rates: EvidenceRates | None = None,
    equipment: KnownEquipment | None = None,
    rules: CorrelationRules | None = None,
) -> Assessment:
    """Conclude from signals which devices have failed, how surely, and why.

    Parameters
    ----------
    signals : iterable of Signal
        All that may still count, of any providers, in any order, repeated or not; those that happened
        after ``at`` are left out.
    network : SupplyForest or Topology
        What supplies what; what open switches leave without supply hangs where it normally does. For
        work that comes back, make the forest once for each version of the network, per substation with
        ``SupplyForest.of(topology, below="SS1")``; signals about what is elsewhere come back as
        ``unplaced``.
    at : aware datetime
        The instant.
    rates : EvidenceRates, optional
        What reports weigh; the defaults when left out.
    equipment : KnownEquipment, optional
        What is known of how meters report.
    rules : CorrelationRules, optional
        Count by these rules instead, for comparison; the probabilities of meters stay exact.

    Returns
    -------
    Assessment
        A function of the set of signals and ``at``. Time grows with the signals and the nodes: a few
        milliseconds for a substation of some thousand meters.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from oms_topology.events import parse
    >>> from oms_topology.graph.topology import Topology
    >>> net = Topology.from_text("SS1 > F1 > DP1 > M1..M9; F1 > DP2 > M10..M19; SS1 > F2 > DP3 > M20..M29")
    >>> gasps = [{"onuId": n, "type": "ONU_LastGaspAlert", "timestamp": "2025-10-01T08:02:05Z",
    ...           "associatedMeters": [f"M{n}"]} for n in (1, 3, 4, 8)]
    >>> signals = [signal for gasp in gasps for signal in parse("onu", gasp)]
    >>> found = assess(signals, net, at=datetime(2025, 10, 1, 8, 30, tzinfo=UTC))
    >>> [(str(outage.device), outage.customers) for outage in found.outages]
    [('distribution_point DP1', 9)]
    >>> found.explain("M2").dead_posterior > 0.95, found.explain("M11").dead_posterior < 0.05
    (True, True)
    """
    forest = network if isinstance(network, SupplyForest) else SupplyForest.of(with_switched_off(network))
    rates, equipment = rates or EvidenceRates(), equipment or KnownEquipment()
    reports, unplaced = read_reports(signals, forest, onus=equipment.onus)
    return assessed(reports, forest, at, rates, equipment, rules=rules, unplaced=unplaced)


def assessed(
    reports: Iterable[Report],
    forest: SupplyForest,
    at: datetime,
    rates: EvidenceRates,
    equipment: KnownEquipment,
    *,
    rules: CorrelationRules | None = None,
    explained: Sequence[PlannedWindow] = (),
    unplaced: Sequence[Signal] = (),
) -> Assessment:
    """Conclude from reports that were read before; as :func:`assess` otherwise.

    Parameters
    ----------
    reports, forest, at, rates, equipment, rules, unplaced
        As for :func:`assess`; reports after ``at`` are left out.
    explained : sequence of (int, datetime, datetime)
        Between which times a node was without supply, as planned or by an outage that is over.
    """
    evidence = weigh(reports, forest, rates, at, equipped=equipment.equipped, explained=explained)
    prior, wrong = prior_of(forest, evidence.spoken, rates), wrong_mapping_of(forest, rates, equipment)
    inference = inference_of(forest, evidence, prior, wrong, rates, equipment)
    blamed, posteriors = inference.explanation().blamed.tolist(), inference.posteriors()
    confidence = {node: float(posteriors.is_failed[node]) for node in blamed}
    if rules is not None:
        confidence = dict(counted_blame(forest, evidence.losses, rules))
    writer = Writer(forest, evidence, posteriors, rates)
    outages: list[ConcludedOutage] = []
    suspicions: list[ConcludedOutage] = []
    for node, posterior in confidence.items():
        (outages if writer.is_reported(node) else suspicions).append(writer.outage(node, posterior))
    return Assessment(at, tuple(outages), tuple(suspicions), tuple(unplaced), forest, posteriors, evidence)


def prior_of(forest: SupplyForest, spoken: Iterable[int], rates: EvidenceRates) -> NDArray[np.int64]:
    """Give each node's log-odds of having failed before anything is heard; see ``SupplyForest.priors``."""
    return forest.priors({kind: rates.priors.log_odds(kind) for kind in DeviceKind}, spoken)


def inference_of(
    forest: SupplyForest,
    evidence: Evidence,
    prior: NDArray[np.int64],
    wrong: NDArray[np.float64],
    rates: EvidenceRates,
    equipment: KnownEquipment,
) -> ForestInference | CollectorInference:
    """Put evidence on the nodes of a forest: what it blames and all probabilities follow."""
    prior = prior + evidence.about_device
    told = doubted(evidence.about_power, prior, wrong, rates.dead_elsewhere)
    if equipment.collectors and len(evidence.silent):
        collector, count = _collectors(forest, evidence, equipment.collectors)
        deaf = _deaf(forest, evidence, rates, prior, collector)
        return CollectorInference(
            forest.parent, collector, told, deaf, np.full(count, log_odds(rates.dead_collector))
        )
    return ForestInference(forest.parent, told.dead, told.failed)


def wrong_mapping_of(
    forest: SupplyForest, rates: EvidenceRates, equipment: KnownEquipment
) -> NDArray[np.float64]:
    """Give the probability of each meter that its supply is another one than the network says."""
    wrong = np.where(forest.kind == METER, rates.wrong_mapping, 0.0)
    learned = equipment.wrong_mapping or {}
    nodes = forest.meter_nodes(learned)
    at = nodes >= 0
    wrong[nodes[at]] = np.fromiter(learned.values(), dtype=np.float64, count=len(learned))[at]
    held = forest.has_second_supply
    wrong[held] = 1.0 - (1.0 - wrong[held]) * (1.0 - rates.second_supply_holds)
    return wrong


def _collectors(
    forest: SupplyForest, evidence: Evidence, collectors: Mapping[str, str]
) -> tuple[NDArray[np.int32], int]:
    """Count off the collectors that have a silent meter; those without any are not in doubt."""
    nodes, names = forest.meter_nodes(collectors), list(collectors.values())
    silent = set(evidence.silent.tolist())
    doubtful = {name for node, name in zip(nodes.tolist(), names, strict=True) if node in silent}
    number = {name: at for at, name in enumerate(sorted(doubtful))}
    of_nodes = np.full(len(forest), -1, dtype=np.int32)
    for node, name in zip(nodes.tolist(), names, strict=True):
        if node >= 0:
            of_nodes[node] = number.get(name, -1)
    return of_nodes, len(number)


def _deaf(
    forest: SupplyForest,
    evidence: Evidence,
    rates: EvidenceRates,
    prior: NDArray[np.int64],
    collector: NDArray[np.int32],
) -> Likelihoods:
    """Weigh the same reports if the collectors are dead: then silence and missing gasps tell nothing."""
    silence = rates.reports[ReportKind.SILENCE]
    is_silent = np.zeros(len(forest), dtype=np.bool_)
    is_silent[evidence.silent] = True
    behind = collector >= 0
    alive = np.where(behind, np.where(is_silent, silence.weight, silence.weight_of_absence), 0)
    about_power = evidence.about_power - np.where(behind, evidence.absence, 0)
    about_power = about_power - np.where(behind & is_silent, silence.weight, 0)
    bound = rates.most_per_node
    dead = alive + np.clip(about_power, -bound, bound)
    return Likelihoods(alive, dead, prior + dead)


class Writer:
    """Puts one blamed node after the other into words and numbers.

    Parameters
    ----------
    forest : SupplyForest
        The nodes.
    evidence : Evidence
        Its reports may be only those at and below the nodes that are asked for.
    posteriors : Posteriors
        Of all nodes.
    rates : EvidenceRates
        What reports weigh.
    """

    def __init__(
        self, forest: SupplyForest, evidence: Evidence, posteriors: Posteriors, rates: EvidenceRates
    ) -> None:
        self._forest, self._evidence, self._posteriors = forest, evidence, posteriors
        self._rates = rates
        self._nodes = np.array([each.report.node for each in evidence.standing], dtype=np.int32)
        self._told = np.array([each.node for each in evidence.told], dtype=np.int32)
        self._losses = evidence.losses
        self._loss_nodes = np.array([each.node for each in self._losses], dtype=np.int32)
        self._probable = np.flatnonzero(posteriors.is_failed >= _LEAST_ALTERNATIVE).astype(np.int32)

    def is_reported(self, node: int) -> bool:
        """Tell whether more than silence speaks for a node's failure."""
        return len(self._forest.places_below(self._loss_nodes, node)) > 0

    def outage(self, node: int, posterior: float) -> ConcludedOutage:
        """Tell everything about the outage of a node."""
        forest, evidence = self._forest, self._evidence
        meters = forest.meters_below(node)
        affected = Affected.of_rows(forest, forest.meter_rows[meters - forest.devices])
        inside = forest.places_below(self._nodes, node).tolist()
        supports = [evidence.standing[at] for at in inside if evidence.standing[at].weight]
        supports.sort(key=lambda each: each.report.order[1:])
        where = self._places(node)
        return ConcludedOutage(
            device=forest.reference(node),
            switch=forest.switch_above(node),
            started_at=self._started_at(node),
            posterior=posterior,
            dead_posterior=float(self._posteriors.is_dead[node]),
            meter_numbers=affected.meter_numbers,
            meters_heard_again=len(forest.places_below(evidence.heard_again, node)),
            customers=affected.customers,
            critical_customers=affected.critical_customers,
            severity=affected.severity,
            substation=where.get(DeviceKind.SUBSTATION),
            feeder=where.get(DeviceKind.FEEDER),
            distribution_point=where.get(DeviceKind.DISTRIBUTION_POINT),
            supports=tuple(support_of(forest, each.report, each.weight) for each in supports),
            absence_nats=float(evidence.absence[meters].sum()) / UNITS_PER_NAT,
            alternatives=self._alternatives(node),
        )

    def _places(self, node: int) -> dict[DeviceKind, str]:
        places: dict[DeviceKind, str] = {}
        for above in self._forest.path(node):
            device = self._forest.reference(above)
            places.setdefault(DeviceKind(device.kind), device.code)
        return places

    def _started_at(self, node: int) -> datetime:
        inside = self._forest.places_below(self._loss_nodes, node).tolist()
        losses: list[Report] = [self._losses[at] for at in inside]
        if not losses:
            inside = self._forest.places_below(self._nodes, node).tolist()
            losses = [self._evidence.standing[at].report for at in inside]
        places = self._forest.places_below(self._told, node)
        return began_at(
            losses, lambda: [self._evidence.told[at] for at in places.tolist()], node, self._rates
        )

    def _alternatives(self, node: int) -> tuple[Alternative, ...]:
        forest, is_failed = self._forest, self._posteriors.is_failed
        above = forest.path(node)[1:]
        below = self._probable[forest.places_below(self._probable, node)].tolist()
        others = [each for each in (*above, *below) if is_failed[each] >= _LEAST_ALTERNATIVE and each != node]
        others.sort(key=lambda each: (-is_failed[each], each))
        return tuple(
            Alternative(forest.reference(each), float(is_failed[each]))
            for each in others[:_MOST_ALTERNATIVES]
        )


def began_at(
    losses: Sequence[Report], told: Callable[[], Sequence[Report]], node: int, rates: EvidenceRates
) -> datetime:
    """Tell when the outage of a node began: by its own report, else with the run of most reports.

    Parameters
    ----------
    losses : sequence of Report
        Those that stand at and below it, at least one.
    told : callable
        Gives all that was said about power there; asked only where that matters.
    node : int
        The node.
    rates : EvidenceRates
        For how long calls count, which parts one run from the next.
    """
    own = [report.occurred_at for report in losses if report.node == node]
    if own:
        return min(own)
    calls = rates.reports[ReportKind.CALL]
    said = told()
    told_of_losses = said if any(each.says_dead for each in said) else losses
    return start_of(told_of_losses, set(losses), node, calls.valid_for or calls.delay)
