"""What providers say: any form of a message becomes signals, or a clear error."""

from oms_topology.events.parse import parse

__all__ = ["parse"]
