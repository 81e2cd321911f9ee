"""The ways to a recipient: SMTP and Telegram's Bot API. Slow and foreign, so never inside a transaction.

An outcome says whether it went, and if not, whether trying again can help. It never holds an address, a link or a code.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from functools import cache
from html import escape
from typing import Final, Protocol, cast
from urllib.parse import parse_qs, unquote, urlsplit

import httpcore2
import httpx2

from cardrail.delivery.errors import ChannelNotSet
from cardrail.kernel import Clock, Secret

TIMEOUT_SECONDS: Final = 20.0
TELEGRAM_MAX: Final = 4_000
"""Characters of one message; Telegram takes 4,096."""
_FONTS: Final = "system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif"
_TABLE: Final = '<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0"'
_CODE_BOX: Final = (
    "margin:0 0 16px;padding:16px;background:#f6f7f9;border:1px solid #d5d9e1;border-radius:10px;word-break:break-word"
)
_PICTURE: Final = "display:block;max-width:100%;margin:8px 0 0;background:#ffffff"
_PERMANENT_TELEGRAM: Final = frozenset({400, 403, 404})


@dataclass(frozen=True, slots=True)
class Letter:
    """What one recipient is told."""

    message_id: str
    address: str
    language: str
    is_right_to_left: bool
    subject: str
    lines: tuple[str, ...]
    """Paragraphs, before the link."""
    button: str
    link: str
    after: tuple[str, ...]
    """Paragraphs, after the link."""
    secrets: tuple[str, ...] = ()
    """Codes, where the operator allows them in messages."""
    others: tuple[str, ...] = ()
    """Further links, where each unit has its own."""
    how: tuple[str, ...] = ()
    """How to redeem the codes, and their terms; with the codes only, because the page behind a link has them."""
    pictures: tuple[tuple[int, str, bytes], ...] = ()
    """Of codes that a till scans: which of ``secrets``, what it is in words, and a PNG."""
    brand: str = ""
    colour: str = "#1d4ed8"
    on_colour: str = "#ffffff"
    """What can be read on the colour."""

    def __repr__(self) -> str:
        return f"Letter({self.message_id!r})"


@dataclass(frozen=True, slots=True)
class Sent:
    """How a try went."""

    ok: bool
    provider_id: str | None = None
    error: str | None = None
    is_final: bool = False
    """Whether trying again cannot help: the recipient does not exist, or wants nothing from us."""
    retry_after: int | None = None


class Channel(Protocol):
    """One way to recipients."""

    def send(self, letter: Letter) -> Sent:
        """Try once."""
        ...


class Mail:
    """SMTP. ``url`` is smtp://user:password@host:587 (STARTTLS where the server offers it; ``?tls=require`` insists) or smtps://…:465."""

    def __init__(self, url: Secret, sender: str, clock: Clock, *, name: str = "") -> None:
        parts = urlsplit(url.reveal())
        if parts.scheme not in {"smtp", "smtps"} or not parts.hostname or "@" not in sender:
            raise ChannelNotSet(channel="email")
        self._host = parts.hostname
        self._is_tls = parts.scheme == "smtps"
        self._port = parts.port or (465 if self._is_tls else 587)
        self._must_tls = parse_qs(parts.query).get("tls") == ["require"]
        self._login = (unquote(parts.username), Secret(unquote(parts.password or ""))) if parts.username else None
        self._sender = Address(name, addr_spec=sender)
        self._clock = clock

    def send(self, letter: Letter) -> Sent:
        """Hand it to the server; a refusal of the recipient (5yz) is final, everything else may be tried again."""
        try:
            with self._connect() as server:
                server.send_message(self._message(letter))
        except smtplib.SMTPRecipientsRefused as refused:
            code = next(iter(refused.recipients.values()))[0]
            return Sent(False, error=f"the server refused the recipient ({code})", is_final=code >= 500)
        except smtplib.SMTPResponseException as refused:
            return Sent(False, error=f"the server answered {refused.smtp_code}", is_final=500 <= refused.smtp_code < 530)
        except (ValueError, UnicodeError):
            return Sent(False, error="the recipient's address cannot be written", is_final=True)
        except (smtplib.SMTPException, OSError) as fault:
            return Sent(False, error=f"the server could not be used ({type(fault).__name__})")
        return Sent(True, provider_id=self._message_id(letter))

    def _connect(self) -> smtplib.SMTP:
        if self._is_tls:
            server: smtplib.SMTP = smtplib.SMTP_SSL(self._host, self._port, timeout=TIMEOUT_SECONDS, context=_mail_trust())
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=TIMEOUT_SECONDS, local_hostname=_own_name())
            server.ehlo()
            if server.has_extn("starttls"):
                server.starttls(context=_mail_trust())
                server.ehlo()
            elif self._must_tls or (self._login is not None and self._host not in {"127.0.0.1", "::1", "localhost"}):
                server.close()
                raise smtplib.SMTPNotSupportedError  # a password never goes over the wire in clear
        if self._login is not None:
            server.login(self._login[0], self._login[1].reveal())
        return server

    def _message_id(self, letter: Letter) -> str:
        """The same for each try, so that whoever gets two can tell."""
        return f"<{letter.message_id}@{self._sender.domain}>"

    def _message(self, letter: Letter) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._sender
        message["To"] = letter.address
        message["Subject"] = letter.subject
        message["Date"] = format_datetime(self._clock.now())
        message["Message-ID"] = self._message_id(letter)
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text_of(letter))
        message.add_alternative(html_of(letter), subtype="html")
        if letter.pictures:
            shown = cast("EmailMessage", list(message.iter_parts())[1])
            for place, _, picture in letter.pictures:
                shown.add_related(
                    picture, "image", "png", cid=f"<code-{place}>", filename=f"code-{place + 1}.png", disposition="inline"
                )
        return message


class Telegram:
    """The Bot API. A chat must have spoken to the bot first; Telegram's rule."""

    def __init__(self, token: Secret, *, base_url: str = "https://api.telegram.org") -> None:
        self._token = token
        self._base_url = base_url.rstrip("/")

    def send(self, letter: Letter) -> Sent:
        """Post it to the chat. 400, 403 and 404 are final; 429 says when to try again."""
        sent = Sent(False, error="there is nothing to say", is_final=True)
        for text in parts_of(text_of(letter)):
            sent = self._post(letter, text)
            if not sent.ok:
                break
        return sent

    def _post(self, letter: Letter, text: str) -> Sent:
        body = {
            "chat_id": letter.address,
            "text": text,
            "link_preview_options": {"is_disabled": True},
            "protect_content": bool(letter.secrets),
        }
        try:
            with httpx2.Client(verify=_web_trust(), timeout=TIMEOUT_SECONDS, trust_env=False, follow_redirects=False) as client:
                answer = client.post(f"{self._base_url}/bot{self._token.reveal()}/sendMessage", json=body)
            found = answer.json()
        except (httpx2.HTTPError, ValueError) as fault:
            return Sent(False, error=f"Telegram could not be used ({type(fault).__name__})")
        if answer.status_code == 200 and found.get("ok") is True:
            return Sent(True, provider_id=f"telegram:{found['result']['message_id']}")
        retry = (found.get("parameters") or {}).get("retry_after") if isinstance(found, dict) else None
        is_final = answer.status_code in _PERMANENT_TELEGRAM
        return Sent(False, error=f"Telegram answered {answer.status_code}", is_final=is_final, retry_after=retry)


def text_of(letter: Letter) -> str:
    """The message as plain text."""
    parts = [*letter.lines, *letter.secrets, letter.link, *letter.others, *letter.how, *letter.after]
    return "\n\n".join([one for one in parts if one]) + "\n"


def parts_of(text: str, most: int = TELEGRAM_MAX) -> list[str]:
    """A text in pieces that one message holds, cut between paragraphs."""
    parts = [""]
    for paragraph in text.split("\n\n"):
        joined = f"{parts[-1]}\n\n{paragraph}" if parts[-1] else paragraph
        if len(joined) <= most:
            parts[-1] = joined
        else:
            parts.append(paragraph[:most])
    return [one for one in parts if one.strip()]


def html_of(letter: Letter) -> str:
    """The message as HTML: no script, and no picture but the codes' own, which come along; nothing is fetched."""
    direction = "rtl" if letter.is_right_to_left else "ltr"
    side = "right" if letter.is_right_to_left else "left"
    brand = (
        f'<tr><td style="padding:0 8px 16px;font-weight:700;text-align:center">{escape(letter.brand)}</td></tr>'
        if letter.brand
        else ""
    )
    links = "".join([_button(letter, link) for link in (letter.link, *letter.others) if link])
    body = (
        "".join([f'<p style="margin:0 0 16px">{escape(one)}</p>' for one in letter.lines])
        + "".join([_secret(letter, place) for place in range(len(letter.secrets))])
        + links
        + "".join([f'<p style="margin:0 0 16px;white-space:pre-line">{escape(one)}</p>' for one in letter.how])
        + "".join([f'<p style="margin:0 0 8px;font-size:14px;color:#565d6b">{escape(one)}</p>' for one in letter.after])
    )
    return (
        f'<!doctype html><html lang="{letter.language}" dir="{direction}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(letter.subject)}</title></head>'
        f'<body style="margin:0;background:#f3f4f7;color:#16181d;font:16px/1.55 {_FONTS}">'
        f'{_TABLE}><tr><td align="center" style="padding:24px 12px">'
        f'{_TABLE} style="max-width:480px">'
        f'{brand}<tr><td dir="{direction}" style="background:#ffffff;border:1px solid #d5d9e1;border-top:6px solid {letter.colour};'
        f'border-radius:12px;padding:28px 24px 20px;text-align:{side}">{body}</td></tr></table></td></tr></table></body></html>'
    )


def _button(letter: Letter, link: str) -> str:
    address = escape(link, quote=True)
    return (
        f'<p style="margin:0 0 8px"><a href="{address}" style="display:block;padding:14px 24px;background:{letter.colour};'
        f'color:{letter.on_colour};border-radius:10px;font-weight:600;text-align:center;text-decoration:none">{escape(letter.button)}</a></p>'
        f'<p dir="ltr" style="margin:0 0 16px;font-size:13px;color:#565d6b;word-break:break-all">{address}</p>'
    )


def _secret(letter: Letter, place: int) -> str:
    """One code, and what a till scans of it."""
    picture = "".join(
        [
            f'<img src="cid:code-{place}" alt="{escape(words, quote=True)}" style="{_PICTURE}">'
            for which, words, _ in letter.pictures
            if which == place
        ]
    )
    return (
        f'<p dir="ltr" style="{_CODE_BOX}">'
        f'<code style="font-size:20px;font-weight:600">{escape(letter.secrets[place])}</code>{picture}</p>'
    )


def _own_name() -> str:
    """The name to say in EHLO, without a look-up that may take seconds."""
    return socket.gethostname() or "localhost"


@cache
def _mail_trust() -> ssl.SSLContext:
    """The machine's certificates. Reading them takes a tenth of a second, so it is done once a process."""
    return ssl.create_default_context()


@cache
def _web_trust() -> ssl.SSLContext:
    """Likewise for HTTP, whose client writes what it speaks into it: a mail server must not be offered that."""
    return httpcore2.default_ssl_context()
