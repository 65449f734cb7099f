"""One version of a state: what all answers of that version hold in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oms_topology.graph.engine.state import SupplyState

__all__ = ["Edition"]


class Edition:
    """A state as it stands now, for answers that are read later.

    Parameters
    ----------
    state : SupplyState
        The state; it keeps from now on what answers of this version read.

    Attributes
    ----------
    state : SupplyState
        The same; it may have changed since.
    sequence, written : int
        Its numbers of these names in this version.
    columns : NetworkColumns
        The network in this version.
    few : dict of str to int
        Where to look first for the row of a device.
    far : callable
        Gives the row of a code that does not stand there.
    """

    __slots__ = ("columns", "far", "few", "sequence", "state", "written")

    def __init__(self, state: SupplyState) -> None:
        state.is_held = True
        self.state = state
        self.sequence, self.written = state.sequence, state.written
        self.columns = state.network.columns
        devices = state.network.names.devices
        self.few, self.far = devices.few, devices.far
