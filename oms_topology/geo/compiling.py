"""Compiling loops by numba where it is installed; where not, nobody calls them.

Imported when a loop is first needed: loading the compiler takes half a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    _Function = TypeVar("_Function", bound=Callable[..., Any])

__all__ = ["compiled", "is_compiled"]

try:
    from numba import njit
except ImportError:
    is_compiled = False

    def compiled(function: _Function) -> _Function:
        """Leave the function as it is: there is no compiler."""
        return function
else:
    is_compiled = True

    def compiled(function: _Function) -> _Function:
        """Compile a function at its first call, for later processes too, to run without Python's lock.

        Not a bit of a result may differ from numpy's: no operation is contracted or moved.
        """
        dispatcher: Any = njit(cache=True, nogil=True, error_model="numpy")(function)
        return cast("_Function", dispatcher)
