"""What a migration did, or would do: counts, findings, links and how sure they are, as plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from oms_topology.migration.plan import MigrationPlan
    from oms_topology.model import Finding

__all__ = [
    "SUCCESS_RATE",
    "Candidate",
    "LinkStatistics",
    "MigrationReport",
    "MigrationTotals",
    "StepOutcome",
    "SubstationCoverage",
    "WorkItem",
]

SUCCESS_RATE = 0.9


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """What one step did.

    Attributes
    ----------
    number : int
        The step's place in the plan.
    name, title : str
        The step's names.
    counts : dict of str to int
        Rows by what became of them; names are stable, and the same for a dry run.
    findings : tuple of Finding
        What wants a look, in the order of their rules; nothing of it stopped the step.
    was_resumed : bool
        The step had been done before by a run that was broken off; nothing was done again.
    """

    number: int
    name: str
    title: str
    counts: dict[str, int]
    findings: tuple[Finding, ...] = ()
    was_resumed: bool = False


@dataclass(frozen=True, slots=True)
class MigrationTotals:
    """How many active meters there are, and what is known of them.

    Attributes
    ----------
    active_meters : int
        Active meters of the registry.
    from_onu, from_kaifa, from_call_center : int
        Those with a name of that provider; a meter with several counts in each.
    with_substation, with_feeder, with_distribution_point, with_customer : int
        Those that are linked, however that came about.
    source_names : int
        Distinct names that the providers' tables hold: meter numbers, asset mRIDs, numbers of callers.
    migrated_names : int
        Those of them that lead to a meter of the registry.
    """

    active_meters: int = 0
    from_onu: int = 0
    from_kaifa: int = 0
    from_call_center: int = 0
    with_substation: int = 0
    with_feeder: int = 0
    with_distribution_point: int = 0
    with_customer: int = 0
    source_names: int = 0
    migrated_names: int = 0

    @property
    def migrated_rate(self) -> float:
        """Share of the providers' names that lead to a meter; 1 where there are none."""
        return _share(self.migrated_names, self.source_names)

    @property
    def substation_rate(self) -> float:
        """Share of the active meters that have a substation; 1 where there are none."""
        return _share(self.with_substation, self.active_meters)

    @property
    def customer_rate(self) -> float:
        """Share of the active meters that have a customer; 1 where there are none."""
        return _share(self.with_customer, self.active_meters)


@dataclass(frozen=True, slots=True)
class LinkStatistics:
    """What became of the active meters of one kind of link; every meter counts once in ``by_status``.

    Attributes
    ----------
    target_kind : str
        ``"substation"``, ``"feeder"``, ``"distribution_point"`` or ``"customer"``.
    by_status : dict of str to int
        ``"explicit"`` (it was linked before, by hand or by survey), ``"linked"``, ``"ambiguous"``,
        ``"too_far"``, ``"no_candidate"`` (nothing to link to), ``"no_position"`` and the other words for
        positions that cannot be used.
    by_rule : dict of str to int
        The linked ones by the rule that linked them.
    by_confidence : dict of str to int
        The linked ones by tenths of confidence, such as ``"0.9"`` for 0.9 and above.
    """

    target_kind: str
    by_status: dict[str, int]
    by_rule: dict[str, int]
    by_confidence: dict[str, int]


@dataclass(frozen=True, slots=True)
class SubstationCoverage:
    """What one substation has.

    Attributes
    ----------
    substation_id : str
        Its code.
    name : str
        Its name.
    longitude, latitude : float or None
        Degrees; None where it has no usable position.
    feeders, meters, customers : int
        Active ones; meters without a customer are not counted as customers.
    by_place : int
        Those of the meters that were linked by their place, to the substation or what is below it.
    mean_confidence : float or None
        Of the links by place; None where there are none.
    doubtful : int
        Links by place with a confidence below 0.8.
    """

    substation_id: str
    name: str
    longitude: float | None
    latitude: float | None
    feeders: int
    meters: int
    customers: int
    by_place: int
    mean_confidence: float | None
    doubtful: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a meter of the work list may belong to.

    Attributes
    ----------
    code, name : str
        Of the device; of a customer the code alone, and never phone or address.
    longitude, latitude : float or None
        Degrees.
    distance_m : float or None
        Geodesic metres from the meter.
    """

    code: str
    name: str
    longitude: float | None
    latitude: float | None
    distance_m: float | None


@dataclass(frozen=True, slots=True)
class WorkItem:
    """A link that somebody should look at.

    Attributes
    ----------
    meter_number : str
        The meter.
    target_kind : str
        What it lacks, or has by a doubtful link.
    status : str
        ``"linked"`` for a doubtful link, else why there is none.
    rule : str or None
        The rule that linked it.
    longitude, latitude : float or None
        Degrees; None where there is no usable position.
    confidence : float or None
        Probability that the link is right.
    candidates : tuple of Candidate
        The linked one first, then others by distance and code; may be empty.
    """

    meter_number: str
    target_kind: str
    status: str
    rule: str | None
    longitude: float | None
    latitude: float | None
    confidence: float | None
    candidates: tuple[Candidate, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationReport:
    """What a migration did, or would do.

    Attributes
    ----------
    dry_run : bool
        Whether all of it was rolled back.
    plan : MigrationPlan
        What was to be done.
    started_at, finished_at : datetime
        Aware, UTC.
    steps : tuple of StepOutcome
        One for each step of the plan, in order.
    totals : MigrationTotals
        The registry afterwards.
    links : tuple of LinkStatistics
        Substations, feeders, distribution points, customers.
    coverage : tuple of SubstationCoverage
        Every substation, most meters first, then by code.
    work_list : tuple of WorkItem
        The most doubtful links and the meters without one: at most 500 of each kind of link,
        least sure first, then by meter number.
    work_count : int
        How many there are in all.
    """

    dry_run: bool
    plan: MigrationPlan
    started_at: datetime
    finished_at: datetime
    steps: tuple[StepOutcome, ...]
    totals: MigrationTotals
    links: tuple[LinkStatistics, ...]
    coverage: tuple[SubstationCoverage, ...]
    work_list: tuple[WorkItem, ...] = ()
    work_count: int = 0

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What all steps found, in their order."""
        return tuple(finding for step in self.steps for finding in step.findings)

    @property
    def is_success(self) -> bool:
        """Whether over 90 % of the names became meters, and over 90 % of the meters have a substation."""
        return min(self.totals.migrated_rate, self.totals.substation_rate) > SUCCESS_RATE

    def to_dict(self) -> dict[str, Any]:
        """Give the report as values that JSON knows, times as ISO 8601, rates and success included."""
        told = asdict(self)
        told["started_at"] = self.started_at.isoformat()
        told["finished_at"] = self.finished_at.isoformat()
        for rate in ("migrated_rate", "substation_rate", "customer_rate"):
            told["totals"][rate] = round(getattr(self.totals, rate), 4)
        for step in told["steps"]:
            for finding in step["findings"]:
                finding["severity"] = str(finding["severity"])
                finding["ids"] = list(finding["ids"])
        told["is_success"] = self.is_success
        return told


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
