"""The common form of each provider's messages, read in one pass into what the database takes.

A reader here takes a message only if everything in it is as usual: known keys, values of their types and
lengths, texts without blanks around them, sound times. It gives None for any other, or raises ValueError,
ArithmeticError or RecursionError, and the parser of :mod:`oms_topology.events.parse` decides. What it does
take it reads as that one does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oms_topology.events.quick.call_center import read_ticket
from oms_topology.events.quick.kaifa import read_kaifa
from oms_topology.events.quick.onu import read_onu
from oms_topology.events.quick.scada import read_scada
from oms_topology.model import Source

if TYPE_CHECKING:
    from collections.abc import Callable

    from oms_topology.events.clock import Clock
    from oms_topology.events.quick.common import Quick

__all__ = ["READERS"]

READERS: dict[str, Callable[[bytes, Clock], Quick | None]] = {
    Source.SCADA: read_scada,
    Source.ONU: read_onu,
    Source.KAIFA: read_kaifa,
    Source.CALL_CENTER: read_ticket,
}
"""The reader of each provider."""
