"""The demo's story: a feeder trips on a real network, and everything that follows, on a real PostgreSQL.

Each chapter does its part, measures it, and checks what came out against what the graph says.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from oms_topology import samples
from oms_topology.cli.comparison import differences
from oms_topology.graph.topology import Topology
from oms_topology.persistence.records import (
    audit_of,
    dark_by_distribution_point,
    dark_meters,
    outage_detail,
    power_counts,
)
from oms_topology.service.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oms_topology.cli.recording import Message
    from oms_topology.model import Receipt
    from oms_topology.persistence.database import Database

__all__ = ["Chapter", "Story"]

_SHOWN_ROWS = 6
_ONU_DOOR = "SELECT public.insert_onu_event_from_json_with_meter_sync(%(message)s::jsonb)"


@dataclass(slots=True)
class Chapter:
    """One step of the story.

    Attributes
    ----------
    name : str
        Its stable name, for machines.
    facts : dict
        What came out.
    checks : dict of str to bool
        What had to come out, and whether it did.
    duration_s : float
        How long the work took, without reading for the screen.
    """

    name: str
    facts: dict[str, Any] = field(default_factory=dict)
    checks: dict[str, bool] = field(default_factory=dict)
    duration_s: float = 0.0


class Story:
    """Plays the recorded messages of a sample network on an upgraded, empty database.

    Parameters
    ----------
    database : Database
        The database; it is written to.
    sample : str
        The network.
    recording : dict of str to list of messages
        By step, as :func:`~oms_topology.cli.recording.load_recording` gives it.
    """

    def __init__(self, database: Database, sample: str, recording: dict[str, list[Message]]) -> None:
        self._database = database
        self._sample = sample
        self._recording = recording
        self._feeder = str(recording["trip"][0][1]["event"]["feederId"])
        self._gasping = {
            number for _, payload in recording["last_gasps"] for number in payload["associatedMeters"]
        }
        self._witness = str(recording["last_gasps"][0][1]["associatedMeters"][0])

    def chapters(self) -> Iterator[Chapter]:
        """Tell the story; a chapter has happened when it is given."""
        chapter, net = self._store_network()
        yield chapter
        with Pipeline(self._database) as pipe:
            yield self._in_service(pipe, net)
            yield self._trip(pipe, net)
            yield self._redelivery(pipe)
            yield self._last_gasps()
            yield self._why(pipe)
            yield self._restoration(pipe)
        yield self._own_reports()
        yield self._books()

    def _store_network(self) -> tuple[Chapter, Topology]:
        chapter, began_at = Chapter("network"), time.perf_counter()
        net = samples.load(self._sample)
        loaded_at = time.perf_counter()
        self._database.store_network(net)
        stored_at = time.perf_counter()
        back = Topology.from_postgres(self._database)
        read_at = time.perf_counter()
        found = differences(net, back)
        chapter.facts = {
            "sample": self._sample,
            "devices": len(net.devices),
            "switches": len(net.switches),
            "feeders": len(net.codes("feeder")),
            "meters": len(net.meters),
            "customers": net.meters.customers,
            "hops_deepest": max(len(net.upstream(number)) for number in net.meters),
            "load_s": loaded_at - began_at,
            "store_s": stored_at - loaded_at,
            "read_back_s": read_at - stored_at,
            "differences": found,
        }
        chapter.checks = {"the network read back says the same": not found}
        chapter.duration_s = read_at - began_at
        return chapter, back

    def _handle(self, pipe: Pipeline, chapter: Chapter, step: str) -> list[Receipt]:
        began_at = time.perf_counter()
        receipts = [pipe.handle(source, payload) for source, payload in self._recording[step]]
        chapter.duration_s = time.perf_counter() - began_at
        chapter.facts["messages"] = len(receipts)
        return receipts

    def _in_service(self, pipe: Pipeline, net: Topology) -> Chapter:
        chapter = Chapter("in_service")
        self._handle(pipe, chapter, "in_service")
        counts = power_counts(self._database.engine)
        below_feeders = len(net.meters) - net.meters.count_by("feeder").get("", 0)
        chapter.facts |= {"power": counts}
        chapter.checks = {"every meter below a feeder has power": counts["on"] == below_feeders}
        return chapter

    def _trip(self, pipe: Pipeline, net: Topology) -> Chapter:
        chapter = Chapter("trip")
        (receipt,) = self._handle(pipe, chapter, "trip")
        engine = self._database.engine
        dark, impact = dark_meters(engine), net.impact(self._feeder, kind="feeder")
        chapter.facts |= {
            "feeder": self._feeder,
            "receipt": receipt,
            "customers": receipt.affected_customers,
            "distribution_points": dark_by_distribution_point(engine),
            "rows": dark[:_SHOWN_ROWS],
        }
        chapter.checks = {
            "dark are exactly the meters below the feeder": {row.meter_number for row in dark}
            == set(impact.lost),
            "the receipt counts the same": receipt.offline_meters == len(impact.lost),
            "customers are counted as the graph counts them": receipt.affected_customers == impact.customers,
            "one outage stands": receipt.outage_event_id is not None,
        }
        return chapter

    def _redelivery(self, pipe: Pipeline) -> Chapter:
        chapter, engine = Chapter("redelivery"), self._database.engine
        before = len(audit_of(engine, self._witness)), power_counts(engine)
        (receipt,) = self._handle(pipe, chapter, "redelivery")
        after = len(audit_of(engine, self._witness)), power_counts(engine)
        chapter.facts |= {"receipt": receipt}
        chapter.checks = {"it says duplicate": receipt.duplicate, "nothing changed": before == after}
        return chapter

    def _through_sql(self, chapter: Chapter, step: str) -> None:
        """Take messages in through the SQL function that services in other languages call."""
        began_at = time.perf_counter()
        for _, payload in self._recording[step]:
            with self._database.engine.begin() as connection:
                connection.exec_driver_sql(_ONU_DOOR, {"message": json.dumps(payload)})
        chapter.duration_s = time.perf_counter() - began_at
        chapter.facts["messages"] = len(self._recording[step])
        chapter.facts["power"] = power_counts(self._database.engine)

    def _power_audit(self) -> list[tuple[Any, str]]:
        rows = audit_of(self._database.engine, self._witness)
        return [(row.at, row.after) for row in rows if row.what in ("power_on", "power_off")]

    def _last_gasps(self) -> Chapter:
        chapter = Chapter("last_gasps")
        counts, audit = power_counts(self._database.engine), self._power_audit()
        self._through_sql(chapter, "last_gasps")
        chapter.facts |= {"meters": len(self._gasping)}
        chapter.checks = {
            "as many meters are dark as before": chapter.facts["power"] == counts,
            "the audit of a dark meter is not doubled": self._power_audit() == audit,
        }
        return chapter

    def _why(self, pipe: Pipeline) -> Chapter:
        chapter, began_at = Chapter("why"), time.perf_counter()
        explanation = pipe.explain(self._witness)
        chapter.duration_s = time.perf_counter() - began_at
        chapter.facts = {"explanation": explanation}
        subjects = {item.subject for item in explanation.evidence if item.says == "off"}
        chapter.checks = {
            "it is off": explanation.power_status == "off",
            "both the feeder and the meter itself say so": subjects
            >= {f"feeder {self._feeder}", f"meter {self._witness}"},
            "its outage is named": len(explanation.outages) == 1,
        }
        return chapter

    def _restoration(self, pipe: Pipeline) -> Chapter:
        chapter = Chapter("restoration")
        (receipt,) = self._handle(pipe, chapter, "restoration")
        dark = {row.meter_number for row in dark_meters(self._database.engine)}
        chapter.facts |= {"feeder": self._feeder, "receipt": receipt, "still_dark": sorted(dark)}
        chapter.checks = {"dark are only those who reported it themselves": dark == self._gasping}
        return chapter

    def _own_reports(self) -> Chapter:
        chapter = Chapter("own_reports")
        self._through_sql(chapter, "own_reports")
        chapter.checks = {"nobody is dark": chapter.facts["power"]["off"] == 0}
        return chapter

    def _books(self) -> Chapter:
        chapter, engine = Chapter("books"), self._database.engine
        began_at = time.perf_counter()
        detail = outage_detail(engine, self._outage_id())
        audit = audit_of(engine, self._witness)
        chapter.duration_s = time.perf_counter() - began_at
        chapter.facts = {"outage": detail, "meter_number": self._witness, "audit": audit}
        power = [row.after for row in audit if row.what in ("power_on", "power_off")]
        chapter.checks = {
            "the outage is closed": detail.outage.status in ("restored", "cleared"),
            "the audit of the meter tells on, off, on": power == ["on", "off", "on"],
        }
        return chapter

    def _outage_id(self) -> str:
        with self._database.engine.connect() as connection:
            return str(connection.exec_driver_sql("SELECT id FROM public.oms_outage_events").scalar_one())
