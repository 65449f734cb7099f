"""Let the backend be installed at no cost to those who do not use it, and at little to those who do."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["ANSWERS", "spare_other_calls"]

_NAME = "oms_topology"
_OURS = [_NAME]

ANSWERS: dict[type, Mapping[str, Callable[..., Any]]] = {}
"""What is answered at once, by type of graph and name of the function; filled when the backend is loaded."""


def spare_other_calls() -> None:
    """Spare NetworkX calls the search for a backend where its outcome is known.

    As soon as any backend is installed, every call of a NetworkX function works out which backend
    shall have it: some 2 us a call for those who never asked for one, 3 to 5 for those who did. Where
    ours is the only one, two outcomes are known. If neither ``backend=`` nor
    ``nx.config.backend_priority`` names it: NetworkX itself. If it is asked for, and the graph is one
    of ours and the function in :data:`ANSWERS`: that one, unless it raises NotImplementedError; who logs
    which backend answers is shown it the long way. Where another backend is installed too, or NetworkX
    has changed, nothing is done.
    """
    import networkx as nx
    from networkx.utils import backends

    dispatchable: Any = getattr(backends, "_dispatchable", None)
    if set(getattr(backends, "backends", ())) != {_NAME} or dispatchable is None:
        return
    searching = dispatchable.__call__
    logger = logging.getLogger(backends.__name__)

    def call(self: Any, /, *args: Any, backend: str | None = None, **kwargs: Any) -> Any:
        config: Any = nx.config
        asked = vars(config.backend_priority)
        if backend is None and not any(asked.values()):
            if "networkx" in self.backends:
                return self.orig_func(*args, **kwargs)
        elif args and (answer := ANSWERS.get(type(args[0]), {}).get(self.name)):
            is_ours = (
                asked["algos"] == _OURS and self.name not in asked if backend is None else backend == _NAME
            )
            if is_ours and not self._is_testing and not logger.isEnabledFor(logging.DEBUG):
                try:
                    return answer(*args, **kwargs)
                except NotImplementedError:
                    pass  # The search decides what that means: NetworkX instead of us, or an error.
        return searching(self, *args, backend=backend, **kwargs)

    dispatchable.__call__ = call
