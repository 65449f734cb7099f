"""The shipped senders against a real mail server and a real HTTP server."""

from __future__ import annotations

import json
import ssl
import subprocess
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword

from oms_topology.errors import SenderUnavailableError
from oms_topology.service.senders import Failed, OutgoingMessage, Sender, Sent, SmtpSender, WebhookSender
from oms_topology.service.senders.webhook import signature
from tests.brokers import free_port
from tests.service.receivers import Gateway, Mailbox, mail_server, running_gateway

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = b"between the two of us"


def message(address: str | None = "amal@example.org", **more: Any) -> OutgoingMessage:
    said: dict[str, Any] = {
        "message_id": uuid4(),
        "kind": "outage_detected",
        "channel": "email",
        "subject": "Power outage: F1",
        "text": "There has been a power outage at <F1> since 12:00.",
        "language": "en",
        "direction": "ltr",
        "customer_code": "C1",
        "phone": "+9647700000000",
        "address": address,
    }
    return OutgoingMessage(**(said | more))


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def smtp(mailbox: Mailbox) -> Iterator[SmtpSender]:
    with mail_server(mailbox) as port:
        yield plain_smtp(port)


def plain_smtp(port: int, **more: Any) -> SmtpSender:
    return SmtpSender(
        host="127.0.0.1", port=port, sender="no-reply@example.org", encryption="none", timeout_s=5, **more
    )


def test_a_mail_says_who_what_and_which_message_it_is(smtp: SmtpSender, mailbox: Mailbox) -> None:
    sent = message(language="ar", direction="rtl", subject="انقطاع", text="انقطع التيار <في> F1")
    assert smtp.send([sent]) == [Sent()]
    (mail,) = mailbox.parsed()
    assert mailbox.mails[0][0] == ["amal@example.org"]
    assert (mail["Subject"], mail["Message-ID"]) == ("انقطاع", f"<{sent.message_id}@example.org>")
    assert mail["Idempotency-Key"] == str(sent.message_id)
    assert mail.get_body(("plain",)).get_content().strip() == sent.text
    page = mail.get_body(("html",)).get_content()
    assert 'lang="ar" dir="rtl"' in page
    assert "&lt;في&gt;" in page


def test_the_same_message_again_has_the_same_id(smtp: SmtpSender, mailbox: Mailbox) -> None:
    twice = message()
    assert smtp.send([twice, twice]) == [Sent(), Sent()]
    assert len({mail["Message-ID"] for mail in mailbox.parsed()}) == 1


def test_what_one_recipient_is_refused_for_stops_no_other(smtp: SmtpSender, mailbox: Mailbox) -> None:
    mailbox.refused = {"gone@example.org": "550 no such user", "full@example.org": "452 mailbox full"}
    outcomes = smtp.send([message("gone@example.org"), message("full@example.org"), message()])
    assert [isinstance(outcome, Failed) and outcome.is_permanent for outcome in outcomes] == [
        True,
        False,
        False,
    ]
    assert outcomes[2] == Sent()
    assert "example.org" not in repr(outcomes)


def test_a_server_that_hangs_up_after_the_mail_may_have_it(smtp: SmtpSender, mailbox: Mailbox) -> None:
    mailbox.answers = ["hang up"]
    first, second = smtp.send([message(), message()])
    assert isinstance(first, Failed)
    assert (first.may_have_gone, first.is_permanent) == (True, False)
    assert second == Sent()


def test_a_server_that_always_hangs_up_ends_the_batch(smtp: SmtpSender, mailbox: Mailbox) -> None:
    mailbox.answers = ["hang up"] * 9
    outcomes = smtp.send([message() for _ in range(6)])
    assert [isinstance(outcome, Failed) and outcome.may_have_gone for outcome in outcomes] == [True, True] + [
        False
    ] * 4


@pytest.mark.parametrize(("answer", "is_permanent"), [("554 no", True), ("451 later", False)])
def test_what_the_server_answers_to_the_mail_decides(
    smtp: SmtpSender, mailbox: Mailbox, answer: str, is_permanent: bool
) -> None:
    mailbox.answers = [answer]
    (outcome,) = smtp.send([message()])
    assert isinstance(outcome, Failed)
    assert (outcome.is_permanent, outcome.may_have_gone) == (is_permanent, False)


@pytest.mark.parametrize(
    "address",
    [
        None,
        "",
        "amal",
        "a@b\r\nBcc: all@example.org",
        "a@example.org, b@example.org",
        "a@exa\u202emple.org",
        "<a@b>",
        "a b@c",
    ],
)
def test_a_hostile_or_missing_address_gets_nothing(
    smtp: SmtpSender, mailbox: Mailbox, address: str | None
) -> None:
    (outcome,) = smtp.send([message(address)])
    assert outcome == Failed("the customer has no usable e-mail address", is_permanent=True)
    assert mailbox.mails == []


def test_no_server_is_told_as_such() -> None:
    with pytest.raises(SenderUnavailableError, match="no connection"):
        plain_smtp(free_port()).send([message()])


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 with its key, in one file."""
    home = tmp_path_factory.mktemp("tls")
    both = home / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(home / "key.pem"), "-out", str(home / "cert.pem")],
        check=True, capture_output=True,
    )  # fmt: skip
    both.write_bytes((home / "key.pem").read_bytes() + (home / "cert.pem").read_bytes())
    return both


def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_a_password_goes_over_tls_to_a_server_that_is_trusted(mailbox: Mailbox, certificate: Path) -> None:
    def check(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        known = isinstance(data, LoginPassword) and (data.login, data.password) == (b"oms", b"secret")
        return AuthResult(success=known, handled=False)

    options = {"tls_context": server_tls(certificate), "require_starttls": True, "authenticator": check,
               "auth_required": True}  # fmt: skip
    with mail_server(mailbox, **options) as port:
        asked: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": port,
            "sender": "no-reply@example.org",
            "timeout_s": 5,
        }
        trusted = ssl.create_default_context(cafile=str(certificate))
        known = SmtpSender(**asked, user="oms", password="secret", tls=trusted)
        assert known.send([message()]) == [Sent()]
        assert "secret" not in repr(known)
        with pytest.raises(SenderUnavailableError, match="SMTPAuthenticationError"):
            SmtpSender(**asked, user="oms", password="wrong", tls=trusted).send([message()])
        with pytest.raises(SenderUnavailableError, match="SSLCertVerificationError"):
            SmtpSender(**asked).send([message()])
    assert len(mailbox.mails) == 1


@pytest.mark.parametrize(
    "more", [{"encryption": "none", "password": "secret"}, {"encryption": "ssl3"}, {"sender": "x\r\ny@z"}]
)
def test_a_mail_sender_that_cannot_be_meant_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"password|starttls|address"):
        SmtpSender(**({"host": "mail", "sender": "a@b"} | more))


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with running_gateway() as server:
        yield server


def webhook(gateway: Gateway, **more: Any) -> WebhookSender:
    return WebhookSender(**({"url": gateway.url, "secret": SECRET, "timeout_s": 5} | more))


def test_a_gateway_can_tell_who_sent_what_and_which_message_it_is(gateway: Gateway) -> None:
    sent = message(None, channel="sms")
    assert webhook(gateway).send([sent]) == [Sent()]
    ((headers, body),) = gateway.requests
    assert headers["Idempotency-Key"] == headers["webhook-id"] == str(sent.message_id)
    assert headers["webhook-signature"] == signature(
        SECRET, headers["webhook-id"], headers["webhook-timestamp"], body
    )
    assert json.loads(body)["messages"][0] == {
        "id": str(sent.message_id), "kind": "outage_detected", "channel": "sms", "customer_id": "C1",
        "to": "+9647700000000", "language": "en", "direction": "ltr", "subject": sent.subject,
        "text": sent.text,
    }  # fmt: skip


def test_the_signature_is_the_one_that_others_compute() -> None:
    command = "openssl dgst -sha256 -hmac key -binary | base64"
    told = subprocess.run(["sh", "-c", command], input=b"id.170.{}", capture_output=True, check=True).stdout
    encoded = told.decode().strip()
    assert signature(b"key", "id", "170", b"{}") == f"v1,{encoded}"


def test_a_batch_has_one_key_that_derives_from_its_messages(gateway: Gateway) -> None:
    several = [message(None) for _ in range(3)]
    assert webhook(gateway).send(several) == [Sent()] * 3
    assert webhook(gateway).send(several) == [Sent()] * 3
    keys = {headers["Idempotency-Key"] for headers, _ in gateway.requests}
    assert len(keys) == 1
    assert keys.isdisjoint(str(each.message_id) for each in several)


def test_a_gateway_may_refuse_one_of_several(gateway: Gateway) -> None:
    one, other, nowhere = message(None), message(None), message(None, phone=None)
    gateway.answers = [(200, {}, json.dumps({"refused": [str(other.message_id)]}).encode())]
    outcomes = webhook(gateway).send([one, nowhere, other])
    assert outcomes[0] == Sent()
    assert all(isinstance(each, Failed) and each.is_permanent for each in outcomes[1:])
    assert len(json.loads(gateway.requests[0][1])["messages"]) == 2


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (500, {}, Failed("the gateway failed (500)", may_have_gone=True)),
        (503, {"Retry-After": "7"}, Failed("the gateway failed (503)", may_have_gone=True, retry_after_s=7)),
        (429, {"Retry-After": "90"}, Failed("the gateway is busy (429)", retry_after_s=90.0)),
        (429, {"Retry-After": "whenever"}, Failed("the gateway is busy (429)")),
        (422, {}, Failed("the gateway refused the message (422)", is_permanent=True)),
        (0, {}, Failed("no answer (RemoteDisconnected)", may_have_gone=True)),
    ],
)  # fmt: skip
def test_what_the_gateway_answers_decides(
    gateway: Gateway, status: int, headers: dict[str, str], expected: Failed
) -> None:
    gateway.answers = [(status, headers, b"{}")]
    assert webhook(gateway).send([message(None)]) == [expected]


@pytest.mark.parametrize("status", [301, 401, 403, 404])
def test_a_gateway_that_does_not_know_us_is_away(gateway: Gateway, status: int) -> None:
    gateway.answers = [(status, {"Location": "http://127.0.0.1:1/"}, b"")]
    with pytest.raises(SenderUnavailableError, match=str(status)):
        webhook(gateway).send([message(None)])


def test_no_gateway_is_told_as_such(gateway: Gateway) -> None:
    with pytest.raises(SenderUnavailableError, match="no connection"):
        webhook(gateway, url=f"http://127.0.0.1:{free_port()}/").send([message(None)])


def test_a_gateway_over_tls_must_be_trusted(gateway: Gateway, certificate: Path) -> None:
    gateway.socket = server_tls(certificate).wrap_socket(gateway.socket, server_side=True)
    url = gateway.url.replace("http:", "https:")
    trusted = ssl.create_default_context(cafile=str(certificate))
    assert webhook(gateway, url=url, tls=trusted).send([message(None)]) == [Sent()]
    with pytest.raises(SenderUnavailableError, match="SSLCertVerificationError"):
        webhook(gateway, url=url).send([message(None)])


@pytest.mark.parametrize(
    "more", [{"url": "ftp://x/"}, {"url": "https:///x"}, {"url": "https://u:p@x/"}, {"secret": b""}]
)
def test_a_gateway_that_cannot_be_meant_is_refused(gateway: Gateway, more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"address|secret"):
        webhook(gateway, **more)


def test_both_are_senders_and_show_no_recipient(gateway: Gateway, smtp: SmtpSender) -> None:
    senders: list[Sender] = [webhook(gateway), smtp]
    assert [sender.channels for sender in senders] == [("sms", "phone", "app"), ("email",)]
    shown = repr((message(), webhook(gateway)))
    assert not any(secret in shown for secret in ("amal", "+964", "C1", SECRET.decode()))
