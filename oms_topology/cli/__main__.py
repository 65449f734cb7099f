"""Makes ``python -m oms_topology.cli`` the same as ``oms-topology``."""

from __future__ import annotations

from oms_topology.cli.app import main

if __name__ == "__main__":
    main()
