"""One version of a network: its columns, its names and where its power enters. Never changed once made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from oms_topology.graph.cleaning import cleaned
from oms_topology.graph.codes import Names
from oms_topology.graph.troubles import Troubles
from oms_topology.model import DeviceKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.model import NetworkColumns

__all__ = ["Network"]


@dataclass(frozen=True, slots=True)
class Network:
    """A clean network as of one instant; every change makes a new one that shares what did not change.

    Attributes
    ----------
    columns : NetworkColumns
        Clean columns. Device and branch rows never change; meter rows are stable: a meter taken away
        keeps its row.
    names : Names
        Codes to rows.
    sources : int32 array
        Device rows where power enters, assumed ones included.
    is_assumed : bool array, one per device
        Sources that the data do not name: see :func:`_assumed_sources`.
    troubles : Troubles
        What was wrong with the data as they came.
    """

    columns: NetworkColumns
    names: Names
    sources: NDArray[np.int32]
    is_assumed: NDArray[np.bool_]
    troubles: Troubles

    @classmethod
    def of(cls, columns: NetworkColumns, troubles: Troubles | None = None) -> Network:
        """Clean the columns and look at what they say; see :func:`~oms_topology.graph.cleaning.cleaned`."""
        columns, meters, found = cleaned(columns)
        is_assumed = _assumed_sources(columns)
        sources = np.flatnonzero(columns.device_is_source | is_assumed).astype(np.int32)
        names = Names(columns, meters)
        return cls(columns, names, sources, is_assumed, (troubles or Troubles()).merged(found))

    def with_columns(self, columns: NetworkColumns, names: Names | None = None) -> Network:
        """Make the next version, with the same devices and branches."""
        return replace(self, columns=columns, names=names or self.names)


def _assumed_sources(columns: NetworkColumns) -> NDArray[np.bool_]:
    """Let the topmost devices feed what has no source at all, switches closed or not.

    A feeder whose substation is unknown still has its meters below it: the gap is a finding, and no
    reason to answer "nothing" when that feeder trips. Substations, then feeders, all of them; then
    the first distribution point. Sections alone have no top and stay without supply.
    """
    count = len(columns.device_code)
    assumed = np.zeros(count, dtype=np.bool_)
    if not count:
        return assumed
    ends = (np.ones(len(columns.branch_from), dtype=np.int8), (columns.branch_from, columns.branch_to))
    pieces, piece = connected_components(csr_array(ends, shape=(count, count)), directed=False)
    open_piece = np.ones(pieces, dtype=np.bool_)
    open_piece[piece[columns.device_is_source]] = False
    for kind in (DeviceKind.SUBSTATION, DeviceKind.FEEDER, DeviceKind.DISTRIBUTION_POINT):
        if not open_piece.any():
            break
        rows = np.flatnonzero((columns.device_kind == kind.value) & open_piece[piece])
        if kind is DeviceKind.DISTRIBUTION_POINT:
            rows = rows[np.unique(piece[rows], return_index=True)[1]]
        assumed[rows] = True
        open_piece[piece[rows]] = False
    return assumed
