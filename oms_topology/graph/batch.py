"""Many questions at once: counts, lists, histograms and common feeds of thousands of devices."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from oms_topology.graph.traces import many

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from oms_topology.graph.engine.state import SupplyState

    Asked = Sequence[str] | NDArray[np.integer]

__all__ = ["Batches"]

_Answer = TypeVar("_Answer")


class Batches:
    """The methods of :class:`~oms_topology.graph.topology.Topology` that answer many questions at once.

    Devices are named by codes, or by *rows*: numbers that :meth:`rows` gives and that stay the same
    for as long as the network lives. Every answer is of one version of the network.
    """

    __slots__ = ()

    @abstractmethod
    def _ask(self, state: str, question: Callable[[SupplyState], _Answer]) -> _Answer:
        """Read one version."""

    def rows(self, codes: Iterable[str]) -> NDArray[np.int32]:
        """Translate codes of devices into rows.

        Parameters
        ----------
        codes : iterable of str
            Codes of devices: no switches, no meters.

        Returns
        -------
        int32 array, one per code
            Their rows. Some 0.2 us each.

        Raises
        ------
        UnknownDeviceError, AmbiguousDeviceError
            As for ``downstream``, for the first code in trouble.
        TopologyError
            A code is a switch's or a meter's.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> Topology.from_text("SS1 > F1 > M1; SS1 > F2").rows(["F2", "SS1"]).tolist()
        [2, 0]
        """
        wanted = [str(code) for code in codes]
        return self._ask("current", lambda asked: many.device_rows(asked, wanted))

    def meter_rows(self, numbers: Iterable[str]) -> NDArray[np.int32]:
        """Translate meter numbers into rows, as :attr:`MeterSet.rows` and all batches count meters.

        Raises
        ------
        UnknownDeviceError
            A number is no meter's.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> Topology.from_text("SS1 > F1 > M1, M2").meter_rows(["M2"]).tolist()
        [1]
        """
        wanted = [str(number) for number in numbers]
        return self._ask("current", lambda asked: many.meter_rows(asked, wanted))

    def count_below(self, devices: Asked, *, state: str = "current") -> NDArray[np.int32]:
        """Count the meters that each of many devices supplies.

        Parameters
        ----------
        devices : sequence of str, or integer array
            Codes of devices, switches and meters, mixed; or rows of devices, -1 for none.
        state : {"current", "normal"}
            As switched now, or as normally.

        Returns
        -------
        int32 array, one per device
            0 where nothing is supplied, 1 for a meter. Some 10 ns each from rows.

        Raises
        ------
        UnknownDeviceError, AmbiguousDeviceError
            As for ``downstream``.
        TopologyError
            A row is none of this network.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> net = Topology.from_text("SS1 > F1 > M1..M3; SS1 > F2")
        >>> net.count_below(["SS1", "F1", "F2", "M1"]).tolist(), net.count_below(net.rows(["F1"])).tolist()
        ([3, 3, 0, 1], [3])
        """
        return self._ask(state, lambda asked: many.meter_counts(asked, devices))

    def meters_below(
        self, devices: Asked, *, state: str = "current"
    ) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """List the meters that each of many devices supplies.

        Parameters
        ----------
        devices, state
            As for :meth:`count_below`.

        Returns
        -------
        offsets : int64 array, one more than devices
            The meters of device ``i`` are ``meters[offsets[i]:offsets[i + 1]]``.
        meters : int32 array
            Rows of the meters, for each device in preorder. Some 5 ns each.

        Raises
        ------
        UnknownDeviceError, AmbiguousDeviceError, TopologyError
            As for :meth:`count_below`.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> net = Topology.from_text("SS1 > F1 > M1, M2; SS1 > F2 > M3")
        >>> [part.tolist() for part in net.meters_below(["F2", "SS1"])]
        [[0, 1, 4], [2, 0, 1, 2]]
        """
        return self._ask(state, lambda asked: many.meter_lists(asked, devices))

    def histograms_below(
        self, devices: Asked, statuses: NDArray[np.integer], *, kinds: int = 3, state: str = "current"
    ) -> NDArray[np.int64]:
        """Count by status the meters that each of many devices supplies.

        Parameters
        ----------
        devices, state
            As for :meth:`count_below`.
        statuses : integer array, one per meter row
            A number from 0 to ``kinds - 1`` for each meter, kept beside the network.
        kinds : int
            How many statuses there are.

        Returns
        -------
        int64 array, shape (devices, kinds)
            How many meters of each status each device supplies.

        Raises
        ------
        UnknownDeviceError, AmbiguousDeviceError
            As for ``downstream``.
        TopologyError
            The statuses are not one per meter row, or out of range.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> net = Topology.from_text("SS1 > F1 > M1..M3; SS1 > F2 > M4")
        >>> net.histograms_below(["F1", "SS1"], np.array([0, 1, 1, 2], dtype=np.int8)).tolist()
        [[1, 2, 0], [1, 2, 1]]
        """
        statuses = np.asarray(statuses)
        return self._ask(state, lambda asked: many.status_histograms(asked, devices, statuses, kinds))

    def dark_below(self, is_dark: NDArray[np.bool_], *, state: str = "current") -> NDArray[np.int32]:
        """Count under every device at once the meters of which something is true.

        Parameters
        ----------
        is_dark : bool array, one per meter row
            The meters to be counted, for instance those that reported that they lost power.
        state : {"current", "normal"}
            As switched now, or as normally.

        Returns
        -------
        int32 array, one per device row
            How many of them each device supplies in that state; 0 for a device without supply.
            One pass over the network.

        Raises
        ------
        TopologyError
            The flags are not one per meter row.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> net = Topology.from_text("SS1 > F1 > M1..M3; SS1 > F2 > M4")
        >>> net.dark_below(np.array([True, False, True, True])).tolist()
        [3, 2, 1]
        """
        flags = np.asarray(is_dark, dtype=np.bool_)
        return self._ask(state, lambda asked: many.dark_counts(asked, flags))

    def common_upstream_row(self, devices: NDArray[np.integer], *, state: str = "current") -> int:
        """Give the row of the lowest device that feeds all devices of an array of rows; -1 for none.

        A device counts as feeding itself. Without any device, or where one has no supply, there is none.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> net = Topology.from_text("SS1 > F1 > DP1; F1 > DP2; SS1 > F2")
        >>> net.devices[net.common_upstream_row(net.rows(["DP1", "DP2"]))]
        'F1'
        """
        return self._ask(state, lambda asked: many.common_row(asked, devices))

    def common_upstream_of(
        self, groups: Iterable[Iterable[str]], *, state: str = "current"
    ) -> list[str | None]:
        """Give for each of many groups the lowest device that feeds all in it.

        Parameters
        ----------
        groups : iterable of iterables of str
            Codes of meters, devices and switches. A device counts as feeding itself.
        state : {"current", "normal"}
            As switched now, or as normally.

        Returns
        -------
        list of str or None
            One per group, as ``common_upstream`` gives it.

        Raises
        ------
        UnknownDeviceError, AmbiguousDeviceError
            As for ``downstream``.

        Examples
        --------
        >>> from oms_topology import Topology
        >>> net = Topology.from_text("SS1 > F1 > M1, M2; SS1 > F2 > M3")
        >>> net.common_upstream_of([["M1", "M2"], ["M1", "M3"], []])
        ['F1', 'SS1', None]
        """
        wanted = [[str(code) for code in group] for group in groups]
        return self._ask(state, lambda asked: many.common_codes(asked, wanted))
