"""The deployed database as it should have been, and the tables of our own."""

from __future__ import annotations

from oms_topology.persistence.plan import run_files

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Run the files of sql/0001 in the order of their names."""
    run_files(revision)
