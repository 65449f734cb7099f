"""The ten steps of the migration, and the limits within which they link."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["STEPS", "LinkLimits", "MigrationPlan", "MigrationStep"]


@dataclass(frozen=True, slots=True)
class MigrationStep:
    """One step of the migration.

    Attributes
    ----------
    number : int
        Its place, from 1 to 10.
    name : str
        Stable name, such as ``"onu_meters"``.
    title : str
        What operators call it.
    purpose : str
        What it does, in one sentence.
    """

    number: int
    name: str
    title: str
    purpose: str


STEPS = tuple(
    MigrationStep(number, *words)
    for number, words in enumerate(
        (
            (
                "onu_meters",
                "ONU meters",
                "Registers the meters of the ONU service and refreshes what it knows.",
            ),
            ("kaifa_mrids", "KAIFA mRIDs", "Finds or registers the meter of each asset and usage point."),
            ("call_numbers", "Call-center numbers", "Finds or registers the meters that callers named."),
            ("substations", "Substations", "Links meters without a feeder to the nearest substation."),
            ("feeders", "Feeders", "Links meters to distribution points and to feeders."),
            ("customers", "Customers", "Links meters to customers by phone, building or place."),
            ("substation_mapping", "Substation mapping", "Maps each active meter to its substation."),
            ("feeder_mapping", "Feeder mapping", "Maps each active meter to its feeder."),
            ("history", "Historical events", "Records what stored events said of meters, each once."),
            ("validation", "Validation and report", "Settles the network and counts what came of it."),
        ),
        start=1,
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkLimits:
    """How far a meter may be from what it is linked to by its place, in metres; all are applied.

    Attributes
    ----------
    substation_m, feeder_m, distribution_point_m, customer_m : float
        Geodesic metres.

    Examples
    --------
    >>> LinkLimits().substation_m
    5000.0
    """

    substation_m: float = 5000.0
    feeder_m: float = 2000.0
    distribution_point_m: float = 500.0
    customer_m: float = 50.0


@dataclass(frozen=True, slots=True)
class MigrationPlan:
    """What a migration does, before it does it.

    Attributes
    ----------
    steps : tuple of MigrationStep
        In the order in which they run.
    limits : LinkLimits
        How far links by place may reach.

    Examples
    --------
    >>> print(MigrationPlan())
     1  ONU meters             Registers the meters of the ONU service and refreshes what it knows.
     2  KAIFA mRIDs            Finds or registers the meter of each asset and usage point.
    ...
    """

    steps: tuple[MigrationStep, ...] = STEPS
    limits: LinkLimits = field(default_factory=LinkLimits)

    def __str__(self) -> str:
        return "\n".join(f"{step.number:2}  {step.title:21}  {step.purpose}" for step in self.steps)

    def to_dict(self) -> dict[str, Any]:
        """Give the plan as values that JSON knows."""
        return asdict(self)
