"""Which meters lost supply, which customers those are, and why.

The public face of the library; everything heavy loads when it is first used.

Examples
--------
>>> import oms_topology as omt
>>> net = omt.samples.load("ieee9500")
>>> len(net.meters)
1275
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oms_topology import errors, samples
    from oms_topology.geo.capacity import link_within_capacity
    from oms_topology.geo.following import link_along_lines
    from oms_topology.geo.linking import Links, link_nearest
    from oms_topology.graph.impact import Impact
    from oms_topology.graph.meter_set import MeterSet
    from oms_topology.graph.topology import Topology
    from oms_topology.model import Finding, Receipt, Signal
    from oms_topology.persistence.database import Database
    from oms_topology.service.outage_worker import OutageWorker
    from oms_topology.service.pipeline import Pipeline

__version__ = "0.1.0"

__all__ = [
    "Database",
    "Finding",
    "Impact",
    "Links",
    "MeterSet",
    "OutageWorker",
    "Pipeline",
    "Receipt",
    "Signal",
    "Topology",
    "__version__",
    "errors",
    "link_along_lines",
    "link_nearest",
    "link_within_capacity",
    "samples",
]

_HOME = {
    "Database": "oms_topology.persistence.database",
    "Finding": "oms_topology.model",
    "Impact": "oms_topology.graph.impact",
    "Links": "oms_topology.geo.linking",
    "MeterSet": "oms_topology.graph.meter_set",
    "OutageWorker": "oms_topology.service.outage_worker",
    "Pipeline": "oms_topology.service.pipeline",
    "Receipt": "oms_topology.model",
    "Signal": "oms_topology.model",
    "Topology": "oms_topology.graph.topology",
    "link_along_lines": "oms_topology.geo.following",
    "link_nearest": "oms_topology.geo.linking",
    "link_within_capacity": "oms_topology.geo.capacity",
}
_ROOMS = ("errors", "samples")


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
