"""Mail into a real SMTP server, and Telegram against a server that speaks the Bot API, both on loopback."""

from __future__ import annotations

import email
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from email.message import EmailMessage
from email.policy import default
from typing import Any, cast

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from cardrail.delivery import ChannelNotSet, Letter, Mail, Telegram, draw_barcode
from cardrail.kernel import FrozenClock, Secret
from tests.ports import KeptPort
from tests.waiting import PATIENCE_SECONDS

LETTER = Letter(
    message_id="msg_1",
    address="ann@example.org",
    language="ar",
    is_right_to_left=True,
    subject="قسيمة لك",
    lines=("مرحبًا <Ann>،", "Tea & Co"),
    button="فتح",
    link="https://gifts.example/c/TOKEN",
    after=("احتفظ بها لنفسك.",),
)


class Inbox:
    """What the server took; it refuses the addresses that say so."""

    def __init__(self) -> None:
        self.taken: list[EmailMessage] = []

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        if address.startswith("nobody"):
            return "550 no such person"
        if address.startswith("later"):
            return "451 come back"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        message = email.message_from_bytes(cast("bytes", envelope.content), policy=default)
        assert isinstance(message, EmailMessage)
        self.taken.append(message)
        return "250 OK"


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def mail(inbox: Inbox) -> Iterator[Mail]:
    with taking(inbox) as port:
        yield Mail(Secret(f"smtp://127.0.0.1:{port}"), "gifts@shop.example", FrozenClock(), name="Tea & Co")


@contextmanager
def taking(inbox: Inbox) -> Iterator[int]:
    """A mail server of loopback that fills this inbox; its port."""
    port = KeptPort()  # the controller wants to know it beforehand
    server = Controller(inbox, hostname="127.0.0.1", port=port.number, ready_timeout=PATIENCE_SECONDS)
    server.start()
    try:
        yield port.number
    finally:
        server.stop()
        port.close()


def to(address: str) -> Letter:
    return replace(LETTER, address=address)


def test_a_mail_arrives_with_a_text_and_an_html_part(mail: Mail, inbox: Inbox) -> None:
    sent = mail.send(LETTER)
    assert (sent.ok, sent.provider_id) == (True, "<msg_1@shop.example>")
    (message,) = inbox.taken
    assert message["Subject"] == "قسيمة لك"
    assert str(message["From"]).replace('"', "") == "Tea & Co <gifts@shop.example>"
    assert message["Message-ID"] == "<msg_1@shop.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    assert "https://gifts.example/c/TOKEN" in text.get_content()
    assert "&lt;Ann&gt;" in html.get_content()
    assert 'dir="rtl"' in html.get_content()
    assert "<img" not in html.get_content()


def test_a_code_s_drawing_comes_along_and_nothing_is_fetched(mail: Mail, inbox: Inbox) -> None:
    code = draw_barcode("QR", "CODE-1")
    assert code is not None
    shown = replace(
        LETTER, secrets=("CODE-1 <", "CODE-2"), pictures=((0, "QR", code.png()),), how=("1. Go.\n2. Show.",), brand="Tea & Co"
    )
    assert mail.send(replace(shown, others=("https://gifts.example/c/SECOND",))).ok
    (message,) = inbox.taken
    html, text = message.get_body(("related", "html")), message.get_body(("plain",))
    assert html is not None
    assert text is not None
    whole, picture = list(html.iter_parts())
    page = whole.get_content()
    assert ("CODE-1 &lt;" in page, page.count("<img"), 'src="cid:code-0"' in page, "Tea &amp; Co" in page) == (
        True,
        1,
        True,
        True,
    )
    assert page.count('href="https://gifts.example/c/') == 2
    assert (picture["Content-ID"], picture.get_content()) == ("<code-0>", code.png())
    assert "http" not in page.replace("https://gifts.example/c/", "")
    assert "2. Show." in text.get_content()


@pytest.mark.parametrize(("address", "is_final"), [("nobody@example.org", True), ("later@example.org", False)])
def test_a_refused_recipient_is_final_or_not_as_the_server_says(mail: Mail, address: str, is_final: bool) -> None:
    sent = mail.send(to(address))
    assert (sent.ok, sent.is_final) == (False, is_final)
    assert address not in str(sent.error)


def test_a_server_that_is_not_there_is_tried_again() -> None:
    sent = Mail(Secret("smtp://127.0.0.1:1"), "gifts@shop.example", FrozenClock()).send(LETTER)
    assert (sent.ok, sent.is_final) == (False, False)
    assert "ConnectionRefusedError" in str(sent.error)


def test_who_insists_on_tls_sends_nothing_without(mail: Mail, inbox: Inbox) -> None:
    careful = Mail(Secret(f"smtp://127.0.0.1:{mail._port}?tls=require"), "gifts@shop.example", FrozenClock())
    assert not careful.send(LETTER).ok
    assert inbox.taken == []


@pytest.mark.parametrize(
    ("url", "sender"), [("http://mail", "a@b.example"), ("smtp://", "a@b.example"), ("smtp://mail", "nobody")]
)
def test_a_mail_server_that_is_set_up_wrongly_stops_the_start(url: str, sender: str) -> None:
    with pytest.raises(ChannelNotSet):
        Mail(Secret(url), sender, FrozenClock())


def bot(httpserver: HTTPServer, status: int, body: dict[str, Any]) -> Telegram:
    httpserver.expect_request("/botT0KEN/sendMessage", method="POST").respond_with_json(body, status)
    return Telegram(Secret("T0KEN"), base_url=httpserver.url_for("/"))


def test_telegram_gets_the_text_without_a_preview(httpserver: HTTPServer) -> None:
    seen: list[dict[str, Any]] = []

    def answer(request: Request) -> Response:
        seen.append(json.loads(request.data))
        return Response(json.dumps({"ok": True, "result": {"message_id": 7}}), content_type="application/json")

    httpserver.expect_request("/botT0KEN/sendMessage", method="POST").respond_with_handler(answer)
    sent = Telegram(Secret("T0KEN"), base_url=httpserver.url_for("/")).send(to("42"))
    assert (sent.ok, sent.provider_id) == (True, "telegram:7")
    assert seen[0]["chat_id"] == "42"
    assert seen[0]["link_preview_options"] == {"is_disabled": True}
    assert "https://gifts.example/c/TOKEN" in seen[0]["text"]


@pytest.mark.parametrize(
    ("status", "body", "is_final", "retry"),
    [
        (403, {"ok": False, "description": "bot was blocked by the user"}, True, None),
        (429, {"ok": False, "parameters": {"retry_after": 11}}, False, 11),
        (500, {"ok": False}, False, None),
        (200, {"ok": False}, False, None),
    ],
)
def test_telegrams_refusals(httpserver: HTTPServer, status: int, body: dict[str, Any], is_final: bool, retry: int | None) -> None:
    sent = bot(httpserver, status, body).send(LETTER)
    assert (sent.ok, sent.is_final, sent.retry_after) == (False, is_final, retry)
    assert "T0KEN" not in str(sent.error)


def test_certificates_are_read_once_a_process(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    telegram = bot(httpserver, 200, {"ok": True, "result": {"message_id": 7}})
    assert telegram.send(LETTER).ok
    read: list[str] = []
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *_, **__: read.append("file"))
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda *_, **__: read.append("machine"))
    assert telegram.send(LETTER).ok
    assert read == []


def test_telegram_that_answers_nonsense_is_tried_again(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/botT0KEN/sendMessage").respond_with_data("<html>", 502)
    assert not Telegram(Secret("T0KEN"), base_url=httpserver.url_for("/")).send(LETTER).is_final


def test_a_long_text_goes_to_telegram_in_pieces(httpserver: HTTPServer) -> None:
    seen: list[str] = []

    def answer(request: Request) -> Response:
        seen.append(json.loads(request.data)["text"])
        return Response(json.dumps({"ok": True, "result": {"message_id": 7}}), content_type="application/json")

    httpserver.expect_request("/botT0KEN/sendMessage", method="POST").respond_with_handler(answer)
    links = tuple([f"https://gifts.example/c/{n:048d}" for n in range(120)])
    letter = replace(LETTER, address="42", after=links)
    assert Telegram(Secret("T0KEN"), base_url=httpserver.url_for("/")).send(letter).ok
    assert max(len(one) for one in seen) <= 4_000
    assert all(any(link in text for text in seen) for link in links)


def test_an_address_that_cannot_be_written_is_final(mail: Mail) -> None:
    sent = mail.send(to("=?utf-8?q?x=0D=0ABcc=3A_y?=@b.example"))
    assert (sent.ok, sent.is_final) == (False, True)
