"""Compiling loops by numba where it is installed; the same Python runs where it is not.

Imported by modules of loops alone, which are loaded when they are first needed: loading the compiler takes
half a second.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    _Function = TypeVar("_Function", bound=Callable[..., Any])

__all__ = ["compiled", "entry_of", "is_compiled"]

try:
    from numba import int64, njit
except ImportError:
    is_compiled = False

    def compiled(function: _Function) -> _Function:
        """Leave the function as it is: there is no compiler."""
        return function

    def entry_of(function: Callable[..., Any]) -> Callable[..., Any]:
        """Leave the function as it is: there is no compiler."""
        return function
else:
    is_compiled = True

    def compiled(function: _Function) -> _Function:
        """Compile a function at its first call; what was compiled is kept for later processes."""
        dispatcher: Any = njit(cache=True)(function)
        return cast("_Function", dispatcher)

    @functools.cache
    def entry_of(function: Callable[..., Any]) -> Callable[..., Any]:
        """Give the machine code of a compiled function that takes integers alone, by position.

        Calling it saves the look at the types of the arguments, a tenth of a microsecond.
        """
        dispatcher: Any = function
        signature = (int64,) * len(inspect.signature(dispatcher.py_func).parameters)
        dispatcher.compile(signature)
        entry: Callable[..., Any] = dispatcher.overloads[signature].entry_point
        return entry
