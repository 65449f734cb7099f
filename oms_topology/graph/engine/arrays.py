"""The arrays of one state as the compiled loops get them: by one number, at a tenth of the cost of nine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from oms_topology.graph.engine.compiling import compiled, is_compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int32]

__all__ = [
    "Arrays",
    "Supplies",
    "address_of",
    "arrays_of",
    "bytes_at",
    "handle_of",
    "numbers_at",
    "supplies_of",
]


class Arrays(NamedTuple):
    """What a loop reads and writes: the arrays of an arena, and those of a state that stands in it.

    The first seven are those of :class:`~oms_topology.graph.engine.arena.Arena`, the last two those of
    :class:`~oms_topology.graph.engine.state.SupplyState`.
    """

    device_at: Integers
    size: Integers
    parent: Integers
    tree: Integers
    first: Integers
    meter_at: Integers
    used: NDArray[np.int64]
    position: Integers
    layout: NDArray[np.int64]


class Supplies(NamedTuple):
    """What the loop reads that finds who has another supply: one state, the normal one, and the backups.

    The last four are as :meth:`~oms_topology.graph.engine.backups.Backups.arrays` gives them.
    """

    size: Integers
    position: Integers
    normal: Integers
    meter_at: Integers
    meter_device: Integers
    ranks: Integers
    starts: Integers
    devices: Integers
    has: NDArray[np.uint8]


if is_compiled:
    import numba
    from numba import types
    from numba.extending import intrinsic

    def _pointer_to(element: Any) -> Any:
        """Make the compiled function that takes an address for the beginning of an array."""

        @intrinsic
        def pointer(context: Any, address: Any) -> Any:  # noqa: ARG001 - numba asks for both
            def generated(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
                return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

            return _cpointer(element)(types.int64), generated

        return pointer

    _cpointer: Any = types.CPointer
    _carray: Any = numba.carray  # type: ignore[attr-defined]
    _narrow, _wide = _pointer_to(types.int32), _pointer_to(types.int64)
    _byte = _pointer_to(types.uint8)

    def address_of(array: NDArray[Any]) -> Any:
        """Give where an array begins, which is not kept; some time, so once for many calls."""
        return array.ctypes.data

    @compiled
    def numbers_at(address: Any, count: int) -> NDArray[np.int64]:
        """Find an array of int64 by its address."""
        numbers: NDArray[np.int64] = _carray(_wide(address), count)
        return numbers

    @compiled
    def bytes_at(address: Any, count: int) -> NDArray[np.uint8]:
        """Find an array of bytes by its address."""
        found: NDArray[np.uint8] = _carray(_byte(address), count)
        return found

    def handle_of(arrays: Arrays | Supplies) -> tuple[Any, Any]:
        """Give a number by which :func:`arrays_of` finds the arrays, and what has to be kept for it.

        The arrays are not kept: who replaces one of them takes a new handle.
        """
        table = np.array([(array.ctypes.data, len(array)) for array in arrays], dtype=np.int64)
        return table.ctypes.data, table

    @compiled
    def arrays_of(handle: Any) -> Arrays:
        """Find the arrays of a handle."""
        table = _carray(_wide(handle), 18)
        return Arrays(
            _carray(_narrow(table[0]), table[1]),
            _carray(_narrow(table[2]), table[3]),
            _carray(_narrow(table[4]), table[5]),
            _carray(_narrow(table[6]), table[7]),
            _carray(_narrow(table[8]), table[9]),
            _carray(_narrow(table[10]), table[11]),
            _carray(_wide(table[12]), table[13]),
            _carray(_narrow(table[14]), table[15]),
            _carray(_wide(table[16]), table[17]),
        )

    @compiled
    def supplies_of(handle: Any) -> Supplies:
        """Find the arrays of a handle."""
        table = _carray(_wide(handle), 18)
        return Supplies(
            _carray(_narrow(table[0]), table[1]),
            _carray(_narrow(table[2]), table[3]),
            _carray(_narrow(table[4]), table[5]),
            _carray(_narrow(table[6]), table[7]),
            _carray(_narrow(table[8]), table[9]),
            _carray(_narrow(table[10]), table[11]),
            _carray(_narrow(table[12]), table[13]),
            _carray(_narrow(table[14]), table[15]),
            _carray(_byte(table[16]), table[17]),
        )
else:

    def address_of(array: NDArray[Any]) -> Any:
        """Give the array itself: without a compiler it can be passed as it is."""
        return array

    def numbers_at(address: Any, count: int) -> NDArray[np.int64]:
        """Find an array of int64 by its address."""
        numbers: NDArray[np.int64] = address[:count]
        return numbers

    def bytes_at(address: Any, count: int) -> NDArray[np.uint8]:
        """Find an array of bytes by its address."""
        found: NDArray[np.uint8] = address[:count]
        return found

    def supplies_of(handle: Any) -> Supplies:
        """Find the arrays of a handle."""
        supplies: Supplies = handle
        return supplies

    def handle_of(arrays: Arrays | Supplies) -> tuple[Any, Any]:
        """Give the arrays themselves: without a compiler they can be passed as they are."""
        return arrays, None

    def arrays_of(handle: Any) -> Arrays:
        """Find the arrays of a handle."""
        arrays: Arrays = handle
        return arrays
