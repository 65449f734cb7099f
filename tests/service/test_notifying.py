"""The notifier as a whole: outages in, messages at real receivers out, whatever dies in between."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from oms_topology.cli.app import app
from oms_topology.persistence.notifications import DueNotification
from oms_topology.service.notifying import Notifier, NotifierSettings, NotifyingRound, preview
from oms_topology.service.senders import Failed, MessageTexts, SmtpSender, WebhookSender
from tests.acceptance.scada_grid import at
from tests.brokers import free_port
from tests.service.receivers import Gateway, Mailbox, mail_server, running_gateway
from tests.service.town import Town

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oms_topology.persistence.database import Database

SECRET = "between the two of us"
KILLS = int(os.environ.get("OMS_TOPOLOGY_TEST_NOTIFIER_KILLS", "1"))


@pytest.fixture
def town(database: Database) -> Town:
    return Town(database)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with running_gateway() as server:
        yield server


def notifier(town: Town, gateway: Gateway, **more: Any) -> Notifier:
    sender = WebhookSender(url=gateway.url, secret=SECRET.encode(), timeout_s=5)
    return Notifier(town.database, [sender], MessageTexts(), NotifierSettings(**more))


def statuses(town: Town) -> set[str]:
    return {status for _, _, status in town.outbox_rows()}


def test_an_outage_is_told_of_and_so_is_its_end(town: Town, gateway: Gateway) -> None:
    town.trip(0, feeder="F2")
    works = notifier(town, gateway)
    assert works.work(at(6)) == NotifyingRound(queued=2, sent=2)
    town.restore(30, feeder="F2")
    assert works.work(at(31)) == NotifyingRound(queued=2, sent=2)
    assert works.work(at(50)) == NotifyingRound()
    texts = sorted({each["text"] for each in gateway.messages.values()})
    assert texts[0].startswith("The power outage at F2 has been over since 12:30 on 2025-10-01.")
    assert texts[1].startswith(
        "There has been a power outage at F2 since 12:00 on 2025-10-01. We do not know"
    )
    assert {each["customer_id"] for each in gateway.messages.values()} == {"four", "five"}


def test_in_a_storm_messages_go_together_and_else_one_by_one(town: Town, gateway: Gateway) -> None:
    town.trip(0, feeder="F2")
    notifier(town, gateway).work(at(6))
    assert len(gateway.requests) == 2
    town.rows("UPDATE oms_storm_mode_config SET is_active = true")
    town.trip(10, feeder="F1")
    assert notifier(town, gateway).work(at(20)).sent == 3
    assert len(gateway.requests) == 3


def test_a_busy_gateway_is_left_alone_as_long_as_it_says(town: Town, gateway: Gateway) -> None:
    town.trip(0, feeder="F2")
    gateway.answers = [(429, {"Retry-After": "600"}, b"")]
    works = notifier(town, gateway)
    assert works.work(at(6)) == NotifyingRound(queued=2, put_off=2)
    assert works.work(at(14)) == NotifyingRound()
    assert works.work(at(17)).sent == 2
    assert len(gateway.requests) == 3


def test_after_the_last_attempt_a_message_is_a_dead_letter(town: Town, gateway: Gateway) -> None:
    town.trip(0, feeder="F2", switch="SW3")
    gateway.answers = [(500, {}, b"")] * 6
    works = notifier(town, gateway, most_attempts=3, first_wait_s=60)
    rounds = [works.work(at(6)), works.work(at(8)), works.work(at(30)), works.work(at(300))]
    assert [(each.put_off, each.given_up) for each in rounds] == [(2, 0), (2, 0), (0, 2), (0, 0)]
    assert statuses(town) == {"failed"}
    assert set(town.column("SELECT reason FROM oms_topology.dead_letter")) == {"the gateway failed (500)"}


def test_a_gateway_that_is_away_costs_no_attempt(town: Town, gateway: Gateway) -> None:
    town.trip(0, feeder="F2", switch="SW3")
    away = WebhookSender(url=f"http://127.0.0.1:{free_port()}/", secret=b"x")
    works = Notifier(town.database, [away], MessageTexts(), NotifierSettings(most_attempts=1))
    for minute in (6, 20, 60, 200):
        assert works.work(at(minute)).put_off == 2
    assert notifier(town, gateway, most_attempts=1).work(at(400)).sent == 2


def test_one_without_phone_is_given_up_at_once(town: Town, gateway: Gateway) -> None:
    town.rows("UPDATE oms_customers SET phone = NULL WHERE customer_id = 'four'")
    town.trip(0, feeder="F2")
    assert notifier(town, gateway).work(at(6)) == NotifyingRound(queued=2, sent=1, given_up=1)
    reason = town.value("SELECT reason FROM oms_topology.dead_letter")
    assert reason == "the customer has no phone number or address"


def test_mail_goes_to_those_who_want_it_in_their_language(town: Town) -> None:
    town.rows(
        "INSERT INTO oms_topology.customer_contact (customer_id, channel, address, language)"
        " SELECT id, 'email', 'four@example.org', 'ar-IQ' FROM oms_customers WHERE customer_id = 'four'"
    )
    # What a name holds ends up in the subject: it adds no header.
    town.rows("UPDATE oms_topology.device SET name = E'Pump\\r\\nBcc: all@example.org' WHERE code = 'F2'")
    town.trip(0, feeder="F2")
    mailbox = Mailbox()
    with mail_server(mailbox) as port:
        sender = SmtpSender(host="127.0.0.1", port=port, sender="a@example.org", encryption="none")
        words = MessageTexts(zone=ZoneInfo("Asia/Baghdad"))
        assert Notifier(town.database, [sender], words).work(at(6)) == NotifyingRound(queued=2, sent=1)
    (mail,) = mailbox.parsed()
    assert (mail["To"], mail["Bcc"]) == ("four@example.org", None)
    assert mailbox.mails[0][0] == ["four@example.org"]
    assert "Pump Bcc: all@example.org" in mail["Subject"]
    assert "15:00 2025/10/01" in mail.get_body(("plain",)).get_content()


def test_the_words_stay_the_same_at_every_attempt(town: Town, gateway: Gateway) -> None:
    town.trip(0, feeder="F2", switch="SW3")
    gateway.answers = [(500, {}, b"")] * 2
    works = notifier(town, gateway)
    works.work(at(6))
    town.rows("UPDATE oms_topology.device SET name = 'renamed'")
    town.rows("UPDATE oms_outage_events SET estimated_restoration_time = :at", at=at(90))
    works.work(at(30))
    said = [json.loads(body)["messages"][0] for _, body in gateway.requests]
    assert len(said) == 4
    assert len({(each["id"], each["text"]) for each in said}) == 2


def test_a_preview_shows_words_and_changes_nothing(town: Town) -> None:
    town.trip(0, feeder="F2")
    before = town.everything()
    planned = preview(town.database, MessageTexts(), ["sms", "email"], at=at(6))
    assert [(each.kind, each.channel) for each in planned] == [("outage_detected", "sms")] * 2
    assert planned[0].text.startswith("There has been a power outage at F2")
    assert town.everything() == before


def test_no_log_dead_letter_or_error_names_a_recipient(
    town: Town, gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    town.rows("UPDATE oms_customers SET phone = '+964-secret'")
    town.trip(0, substation="SS1", feeder=None)
    gateway.answers = [(422, {}, b""), (500, {}, b""), (401, {}, b"")]
    with caplog.at_level(logging.DEBUG):
        assert notifier(town, gateway).work(at(6)).given_up == 1
    kept = "".join(
        town.column("SELECT d::text || convert_from(d.payload, 'UTF8') FROM oms_topology.dead_letter d")
        + town.column("SELECT t::text FROM oms_topology.notification_delivery t")
        + town.column("SELECT t::text FROM oms_customer_notifications t")
    )
    told = kept + caplog.text + str([record.__dict__ for record in caplog.records])
    assert "sender away" in told
    assert "secret" not in told.lower().replace("webhook_secret", "")


class Process:
    """``oms-topology outages notify`` as an operator runs it."""

    def __init__(self, town: Town, gateway: Gateway, *words: str) -> None:
        address = town.database.url.render_as_string(hide_password=False)
        self.running = subprocess.Popen(
            [sys.executable, "-m", "oms_topology.cli", "outages", "notify", "--sender", "webhook",
             "--webhook-url", gateway.url, "--interval-s", "0.2", "--follow", "--database", address, *words],
            env=os.environ | {"OMS_TOPOLOGY_WEBHOOK_SECRET": SECRET}, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def is_following(self) -> bool:
        """Wait until it works, and would end in good order."""
        assert self.running.stderr is not None
        return "following outages" in self.running.stderr.readline()

    def end(self, number: int) -> tuple[int, str]:
        self.running.send_signal(number)
        _, log = self.running.communicate(timeout=60)
        return self.running.returncode, log


def wait_until(what: str, condition: Any) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.02)


def trip_now(town: Town) -> None:
    minute = (datetime.now(UTC) - at(0)) / timedelta(minutes=1) - 10
    town.trip(minute, substation="SS1", feeder=None)


@pytest.mark.slow
def test_killed_between_sending_and_settling_each_customer_still_has_one_message(
    town: Town, gateway: Gateway
) -> None:
    trip_now(town)
    for _ in range(KILLS):
        gateway.got.clear()
        gateway.may_answer.clear()
        process = Process(town, gateway, "--lease-s", "1")
        assert gateway.got.wait(60)
        assert process.end(signal.SIGKILL)[0] == -signal.SIGKILL
        gateway.may_answer.set()
    assert "sent" not in statuses(town)
    together = [Process(town, gateway) for _ in range(2)]
    assert all(process.is_following() for process in together)
    wait_until("all sent", lambda: statuses(town) == {"sent"})
    for process in together:
        code, log = process.end(signal.SIGTERM)
        assert code == 0, log
        assert "964" not in log
    times = Counter(headers["Idempotency-Key"] for headers, _ in gateway.requests)
    assert len(times) == len(gateway.messages) == 5
    assert sum(times.values()) == 5 + KILLS
    assert sorted(each["customer_id"] for each in gateway.messages.values()) == sorted(town.told())


def run(town: Town, *words: str) -> Any:
    address = town.database.url.render_as_string(hide_password=False)
    return CliRunner().invoke(app, ["outages", "notify", *words, "--database", address])


def test_the_command_fills_shows_and_tells(town: Town) -> None:
    trip_now(town)
    shown = run(town, "--dry-run", "--time-zone", "Asia/Baghdad")
    assert shown.exit_code == 0
    assert "There has been a power outage at SS1" in " ".join(shown.stdout.split())
    assert len(json.loads(run(town, "--dry-run", "--json").stdout)["messages"]) == 5
    done = json.loads(run(town, "--json").stdout)
    assert done == {"queued": 5, "sent": 0, "put_off": 0, "given_up": 0}
    assert run(town).stdout.strip() == "queued 0, sent 0, put off 0, given up 0"


@pytest.mark.parametrize(
    "words",
    [
        ["--sender", "pigeon"],
        ["--sender", "smtp"],
        ["--sender", "webhook"],
        ["--sender", "webhook", "--webhook-url", "ftp://x"],
        ["--sender", "smtp", "--smtp-server", "mail", "--smtp-from", "nobody"],
        ["--time-zone", "Mars/Olympus"],
        ["--texts", "/nowhere/texts.toml"],
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_wrong_usage(words: list[str]) -> None:
    assert CliRunner().invoke(app, ["outages", "notify", *words]).exit_code == 2


def due(**more: Any) -> DueNotification:
    said: dict[str, Any] = {
        "message_id": None, "customer_id": None, "kind": "outage_detected", "content": None, "language": "en",
        "attempts": 1, "areas": ("F1",), "started_at": at(0), "expected_at": at(60), "ended_at": None,
    }  # fmt: skip
    return DueNotification(**(said | more))


def test_a_text_names_areas_and_the_expected_end_in_local_time() -> None:
    texts = MessageTexts(zone=ZoneInfo("Asia/Baghdad"))
    assert texts.text(due(areas=("F1", "DP2", "F1"))) == (
        "There has been a power outage at F1, DP2 since 15:00 on 2025-10-01."
        " We expect supply to be back at 16:00 on 2025-10-01."
    )
    assert "F1, F2, F3 and others" in texts.text(due(areas=("F1", "F2", "F3", "F4")))
    assert "at your area since" in texts.text(due(areas=("\r\n",)))


def test_what_a_name_holds_is_no_template_no_header_and_turns_no_text_around() -> None:
    texts = MessageTexts()
    hostile = due(areas=("{started.__class__}\u202eevil\r\nBcc: x", "a" * 500))
    assert "{started.__class__} evil Bcc: x" in texts.subject(hostile)
    assert len(texts.subject(hostile)) < 250
    assert "\n" not in texts.subject(hostile) + texts.text(hostile)


def test_arabic_runs_from_right_to_left_and_names_keep_their_own_direction() -> None:
    texts = MessageTexts()
    assert texts.direction("ar") == "rtl"
    assert "\u2068F1\u2069" in texts.text(due(language="ar"))
    assert "\u2068" not in texts.text(due(language="en"))


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ('text = "{area"', "expected '}'"),
        ('text = "{nobody}"', "unknown placeholder"),
        ('text = "{area.__class__}"', "unknown placeholder"),
        ('text = "{area!r}"', "unknown placeholder"),
        ("text = 1", "is missing"),
    ],
)
def test_a_template_that_cannot_be_filled_is_refused_when_it_is_read(
    tmp_path: Any, broken: str, said: str
) -> None:
    path = tmp_path / "texts.toml"
    names = ("outage_detected", "crew_dispatched", "restored")
    kinds = "".join(f'[en.{kind}]\nsubject = "x"\n{broken}\n' for kind in names)
    path.write_text(
        '[en]\ndirection = "ltr"\ntime_format = "%H"\nseparator = ","\nand_others = ""\nunknown_area = "x"\n'
        'estimate_known = "{expected}"\nestimate_unknown = ""\n' + kinds
    )
    with pytest.raises(ValueError, match=said):
        MessageTexts.from_file(path)


def test_a_failure_says_so_by_default_only() -> None:
    assert Failed("x") == Failed("x", is_permanent=False, may_have_gone=False, retry_after_s=None)
