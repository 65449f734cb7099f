"""A network in the tables: stored whole in one transaction, loaded as columns."""

from oms_topology.persistence.network_load import load_network
from oms_topology.persistence.network_store import store_network

__all__ = ["load_network", "store_network"]
