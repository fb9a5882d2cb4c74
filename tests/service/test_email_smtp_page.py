"""The page about SMTP: every row of its tables happens, by a call and in a batch, on a real mail server."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from mesh.status import read_error
from tests.support.certificate import Certificate
from tests.support.email_sending import EmailSending, email_sending
from tests.support.smtp_server import HANG_UP, SILENCE, SmtpServer
from tests.support.tool import ROOT

PAGE = (ROOT / "docs" / "smtp.md").read_text(encoding="utf-8")
#: What each of our waits lasts where the server is to be silent; where it is not, nobody waits that long.
IMPATIENT = {"BATON_EMAIL_SMTP_TIMEOUT": "300ms"}
LOGIN = {"password": "secret"}
AT_ONCE = {"tls_at_once": True}


@contextmanager
def full_backlog(port: int) -> Iterator[None]:
    """A port on which no connection comes about: it listens, nobody takes one up, and no further one can wait."""
    with socket.create_server(("127.0.0.1", port), backlog=0):
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        yield
        for one in waiting:
            one.close()


@dataclass(frozen=True)
class Row:
    """A line of the page's tables."""

    situation: str
    reason: str
    answer: str
    settlement: str


@dataclass(frozen=True)
class Scenario:
    """What makes a row happen; ``answers`` are the server's, by step, once the letters before are through."""

    answers: Mapping[str, str | bytes | list[str]] = field(default_factory=dict)
    server: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    recipient: str = ""
    tls: bool = False
    trusted: bool = False
    login: str = ""
    host: str = "127.0.0.1"
    scheme: str = ""
    to: str = "runner@example.org"
    before: int = 0
    beside: tuple[str, ...] = ()
    hung_up: bool = False
    seconds_a_mail: float = 0.0
    listens: bool = True
    beneath: Callable[[int], AbstractContextManager[object]] = nullcontext


def answering(**answers: str | bytes) -> Scenario:
    """The server answers these steps so."""
    return Scenario(answers)


def silent(step: str, **more: Any) -> Scenario:
    """The server does not answer a step."""
    return Scenario({step: SILENCE}, settings=IMPATIENT, **more)


SCENARIOS: dict[str, Scenario] = {
    "takes the letter": Scenario(),
    "answers 251 to the recipient, who is not local": Scenario(recipient="251 will forward"),
    "answers the letter with a 2xx other than 250": answering(LETTER="200 fine"),
    "takes a second to answer the letter": Scenario(seconds_a_mail=1.0),
    "knows no EHLO but HELO": answering(EHLO="502 not implemented"),
    "offers STARTTLS with a certificate that is trusted": Scenario(tls=True, trusted=True),
    "speaks TLS at once, with a certificate that is trusted": Scenario(server=AT_ONCE, tls=True, trusted=True),
    "takes an address beyond ASCII, behind STARTTLS": Scenario(to="jürgen@example.org", tls=True, trusted=True),
    "takes an address beyond ASCII, behind TLS at once": Scenario(
        to="jürgen@example.org", server=AT_ONCE, tls=True, trusted=True
    ),
    "takes our login": Scenario(server=LOGIN, login="me:secret@"),
    "has ended a kept connection": Scenario(before=1, hung_up=True),
    "answers 421 on a kept connection": Scenario({"MAIL": "421 4.4.2 idle for too long"}, before=1),
    "answers 421 to a further connection": Scenario(server={"room": 1}, beside=("other",), seconds_a_mail=0.3),
    "answers 421 to the recipient": answering(RCPT="421 4.3.2 closing"),
    "answers 450 to the recipient, as greylisting does": answering(RCPT="450 4.2.0 greylisted, come again"),
    "answers 451 to the recipient": answering(RCPT="451 4.3.0 later"),
    "answers 452 to the recipient, too many were named": answering(RCPT="452 4.5.3 too many recipients"),
    "answers 550 to the recipient": answering(RCPT="550-5.1.1 no such user\r\n550 5.1.1 <runner@example.org>"),
    "answers 551 to the recipient": answering(RCPT="551 not local"),
    "answers 553 to the recipient": answering(RCPT="553 5.1.3 bad mailbox"),
    "answers 421 to the sender, too much mail came": answering(MAIL="421 4.7.0 too many messages"),
    "answers 451 to the sender, too much mail came": answering(MAIL="451 4.7.1 slow down"),
    "answers 452 to the sender, its disk is full": answering(MAIL="452 4.3.1 insufficient storage"),
    "answers 553 to the sender": answering(MAIL="553 5.7.1 not yours"),
    "answers 421 to DATA": answering(DATA="421 closing"),
    "answers 554 to DATA": answering(DATA="554 no valid recipients"),
    "answers 421 to the letter": answering(LETTER="421 closing"),
    "answers 451 to the letter": answering(LETTER="451 4.3.0 aborted"),
    "answers 552 to the letter, it is too large": answering(LETTER="552 5.3.4 too large"),
    "answers 554 to the letter, it looks like spam": answering(LETTER=b"554 5.7.1 sp\xe4m"),
    "says it takes no letter of that size": Scenario(server={"size": 100}),
    "takes no address beyond ASCII": Scenario(server={"smtputf8": False}, to="jürgen@example.org"),
    "refuses the connection": Scenario(listens=False),
    "does not take up the connection": Scenario(listens=False, beneath=full_backlog, settings=IMPATIENT),
    "greets with 421": answering(CONNECT="421 4.7.0 too many connections"),
    "greets with 554": answering(CONNECT="554 5.7.1 no service for you"),
    "answers 550 to EHLO and HELO": answering(EHLO="550 who are you", HELO="550 who are you"),
    "answers 454 to STARTTLS": Scenario({"STARTTLS": "454 no certificate today"}, tls=True, trusted=True),
    "answers 501 to STARTTLS": Scenario({"STARTTLS": "501 no"}, tls=True, trusted=True),
    "has a certificate that is not trusted": Scenario(tls=True),
    "speaks TLS at once, with a certificate that is not trusted": Scenario(server=AT_ONCE, tls=True),
    "speaks no TLS where it is to come at once": Scenario(scheme="smtps"),
    "offers no STARTTLS where TLS is required": Scenario(settings={"BATON_EMAIL_SMTP_TLS": "required"}),
    # This address is the machine's own and yet no name of the loopback interface.
    "offers no STARTTLS where a password would cross a network": Scenario(
        server=LOGIN, login="me:secret@", host="0.0.0.0"
    ),
    "offers no login": Scenario(login="me:secret@"),
    "answers 454 to the login": Scenario({"AUTH": ["454 4.7.0 not now"] * 2}, server=LOGIN, login="me:secret@"),
    "answers 535 to the login": Scenario(server=LOGIN, login="me:wrong@"),
    "answers 530 to the sender, it wants a login": answering(MAIL="530 5.7.0 authentication required"),
    "does not greet": silent("CONNECT"),
    "does not answer EHLO": silent("EHLO"),
    "does not answer STARTTLS": silent("STARTTLS", tls=True, trusted=True),
    "does not answer the sender": silent("MAIL"),
    "does not answer the recipient": silent("RCPT"),
    "does not answer DATA": silent("DATA"),
    "does not answer the letter": silent("LETTER"),
    "hangs up instead of greeting": answering(CONNECT=HANG_UP),
    "hangs up at the recipient": answering(RCPT=HANG_UP),
    "hangs up at the letter": answering(LETTER=HANG_UP),
    "greets with nonsense": answering(CONNECT="SSH-2.0-OpenSSH_9.2"),
    "answers the recipient with nonsense": answering(RCPT="<html>"),
    "answers the letter with nonsense": answering(LETTER="OK then"),
    "answers 354 to the sender": answering(MAIL="354 go on"),
    "answers 250 to DATA": answering(DATA="250 fine"),
    "answers the letter with 354": answering(LETTER="354 go on"),
    "has sent as many letters a second as it may": Scenario(settings={"BATON_EMAIL_SMTP_RATE": "0.5"}, before=1),
    "is sending the same email at this moment": Scenario({"RCPT": SILENCE}, beside=("k",)),
}


def rows() -> list[Row]:
    """The lines of the page's tables, in order."""
    part = PAGE.partition("\n## Row by row\n")[2].partition("\n## ")[0]
    lines = [line for line in part.splitlines() if re.match(r"\| (?!---|the mail server|this service)", line)]
    return [Row(*(cell.strip() for cell in line.strip("|").split("|"))) for line in lines]


class Outcome:
    """What the page calls what becomes of an email, by each of the two ways; the reason where it is said."""

    def __init__(self, sending: EmailSending, to: str) -> None:
        self._sending, self._to = sending, to

    async def call(self, key: str) -> tuple[str | None, str]:
        """Of an email sent by a call."""
        try:
            await self._sending.send(key, to=self._to)
        except grpc.aio.AioRpcError as error:
            said = read_error(error)
            delay = "" if said.retry_delay is None else f", {said.retry_delay.total_seconds():g} s"
            return said.reason, f"{said.code}{delay}"
        return "", "OK"

    async def batch(self, key: str) -> tuple[str | None, str]:
        """Of an email sent as a batch of one."""
        settlement = (await self._sending.batch(key, to=self._to))[key]
        action = settlement.WhichOneof("action") or ""
        given: Any = getattr(settlement, action)
        delay = f", {given.delay.ToTimedelta().total_seconds():g} s" if action in {"retry", "release"} else ""
        return getattr(given, "code", None), f"{action}{delay}"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(tmp_path_factory.mktemp("certificate"))


@asynccontextmanager
async def happening(scenario: Scenario, server: SmtpServer, folder: Path) -> AsyncIterator[Outcome]:
    """Make a scenario come about, up to the letter that the row is about."""
    scheme, _, address = server.url.partition("://127.0.0.1")
    url = f"{scenario.scheme or scheme}://{scenario.login}{scenario.host}{address}"
    async with email_sending(folder, url, **scenario.settings) as sending:
        outcome = Outcome(sending, scenario.to)
        for number in range(scenario.before):
            assert await outcome.call(f"before-{number}") == ("", "OK")
        if scenario.hung_up:
            await server.close()
            await server.open()
        server.seconds_a_mail = scenario.seconds_a_mail
        for step, answer in scenario.answers.items():
            server.answer(step, *(answer if isinstance(answer, list) else [answer]))
        if scenario.recipient:
            server.refuse(scenario.recipient)
        beside = [asyncio.ensure_future(outcome.call(key)) for key in scenario.beside]
        if beside:
            await server.reached("RCPT")
        yield outcome
        await server.close()
        await asyncio.gather(*beside)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.situation)
@pytest.mark.parametrize("way", ["call", "batch"])
async def test_a_row_is_what_happens(
    row: Row, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    scenario = SCENARIOS[row.situation]
    certificate: Certificate | None = request.getfixturevalue("certificate") if scenario.tls else None
    if scenario.trusted and certificate is not None:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.path))
    server = SmtpServer(tls=certificate.context if certificate else None, **scenario.server)

    with scenario.beneath(server.port):
        if scenario.listens:
            await server.open()
        async with happening(scenario, server, tmp_path) as outcome:
            reason, said = await getattr(outcome, way)("k")

    assert said == (row.answer if way == "call" else row.settlement)
    assert reason in (row.reason, None)
    if "STARTTLS where" in row.situation:
        assert (server.heard("AUTH"), server.heard("MAIL")) == (0, 0)


def test_every_row_has_a_scenario_and_every_scenario_a_row() -> None:
    situations = [row.situation for row in rows()]

    assert len(situations) == len(set(situations))
    assert set(situations) == SCENARIOS.keys()
