"""What providers say: any form of a message becomes signals, or a clear error; and what signals come to."""

from oms_topology.events.batch import ParsedMessages, parse_many
from oms_topology.events.parse import parse
from oms_topology.events.status import ReportedStatuses, fold

__all__ = ["ParsedMessages", "ReportedStatuses", "fold", "parse", "parse_many"]
