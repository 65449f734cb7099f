"""A backend of NetworkX that answers questions about our graphs from the index instead of walking.

It is there once the package is installed, and is used by whoever asks for it::

    nx.config.backend_priority = ["oms_topology"]              # from here on, everywhere
    nx.descendants(graph, "SS1", backend="oms_topology")       # this once

What it does not implement, NetworkX answers itself. Nothing is imported here, for NetworkX reads
:mod:`oms_topology.graph.nx_backend.info` each time it is imported itself.
"""
