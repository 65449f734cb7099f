"""Let the backend be installed at no cost to those who do not use it."""

from __future__ import annotations

from typing import Any

__all__ = ["spare_other_calls"]


def spare_other_calls() -> None:
    """Spare NetworkX calls the search for a backend while none is asked for.

    As soon as any backend is installed, every call of a NetworkX function works out which backend
    shall have it: some 2 us a call, also for those who never asked for one. Where ours is the only
    one and neither ``backend=`` nor ``nx.config.backend_priority`` names it, the outcome is known:
    NetworkX itself. Where another backend is installed too, or NetworkX has changed, nothing is done.
    """
    import networkx as nx
    from networkx.utils import backends

    dispatchable: Any = getattr(backends, "_dispatchable", None)
    if set(getattr(backends, "backends", ())) != {"oms_topology"} or dispatchable is None:
        return
    searching = dispatchable.__call__

    def call(self: Any, /, *args: Any, backend: str | None = None, **kwargs: Any) -> Any:
        config: Any = nx.config
        if (
            backend is None
            and not any(vars(config.backend_priority).values())
            and "networkx" in self.backends
        ):
            return self.orig_func(*args, **kwargs)
        return searching(self, *args, backend=backend, **kwargs)

    dispatchable.__call__ = call
