"""What a step works with: its connection, and what it counts and finds on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from oms_topology.geo.linking import link_nearest
from oms_topology.migration.bulk import make_anew, set_aside
from oms_topology.migration.queries import statements
from oms_topology.model import Finding, FindingSeverity

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from oms_topology.geo.linking import Links
    from oms_topology.migration.plan import LinkLimits

__all__ = ["StepWork"]

_MOST_IDS = 100


@dataclass(slots=True)
class StepWork:
    """One step at work, in a transaction of whoever runs it.

    Attributes
    ----------
    connection : sqlalchemy.Connection
        In a transaction.
    limits : LinkLimits
        How far links by place may reach.
    linker : callable
        Links by place: `link_nearest`, or what gives the same answer elsewhere.
    counts : dict of str to int
        What was counted.
    findings : list of Finding
        What was found.
    rows_written : int
        How many rows the counted statements of its files wrote.
    """

    connection: Connection
    limits: LinkLimits
    linker: Callable[..., Links] = link_nearest
    counts: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    rows_written: int = 0

    def run(self, name: str) -> None:
        """Run the statements of a file, and take down what their marks ask for."""
        aside: list[str] = []
        for statement in statements(name):
            if statement.kind == "bulk":
                table, *columns = statement.title.replace(",", " ").split()
                count = self.connection.exec_driver_sql(statement.sql).scalar_one()
                aside += set_aside(self.connection, table, columns, count)
            elif statement.kind == "anew":
                make_anew(self.connection, aside)
                aside = []
            elif statement.kind == "finding":
                self._look(statement.title, statement.sql)
            elif statement.kind == "tally":
                self.add(statement.title, self.connection.exec_driver_sql(statement.sql).scalar_one())
            else:
                done = self.connection.exec_driver_sql(statement.sql)
                if statement.kind == "count":
                    self.add(statement.title, done.rowcount)
                    self.rows_written += done.rowcount
        make_anew(self.connection, aside)

    def add(self, name: str, count: int) -> None:
        """Count something, together with what was counted under that name before."""
        self.counts[name] = self.counts.get(name, 0) + count

    def find(self, title: str, ids: Sequence[str], count: int) -> None:
        """Take down a finding if it is about anything: ``rule | message | remedy``."""
        if count:
            rule, message, remedy = (part.strip() for part in title.split("|"))
            self.findings.append(
                Finding(rule, FindingSeverity.WARNING, message, remedy, tuple(ids[:_MOST_IDS]), count)
            )

    def _look(self, title: str, sql: str) -> None:
        ids = 'SELECT (array_agg(id ORDER BY id COLLATE "C"))[1:100], count(*) FROM ('
        found, count = self.connection.exec_driver_sql(f"{ids}{sql.rstrip(';')}) f").one()
        self.find(title, found or (), count)
