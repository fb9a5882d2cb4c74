"""What runners are called and where they get mail: odd, hostile or wrong, through sign-up, email service and SMTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from baton.signup.v1 import registration_pb2 as pb
from baton.signup.v1 import signup_service_pb2 as service_pb
from baton.signup.v1.signup_service_pb2_grpc import SignupServiceStub
from email_service import app as email_app
from email_service.settings import EmailSettings
from mesh.status import read_error
from tests.support.refusals import refused, violations
from tests.support.running import running, serving
from tests.support.smtp_server import Mail, SmtpServer, smtp_server
from tests.unit.signup_service.neighbour import Neighbourhood

if TYPE_CHECKING:
    from baton.signup.v1.signup_service_pb2_grpc import SignupServiceAsyncStub

# "x" and not "": a name of one byte is the shortest.
ODD_NAMES = [
    "x",
    "\u00e9" * 128,  # 256 bytes
    "\U0001f3c3" * 64,  # 256 bytes
    "Zoe\u0308",  # decomposed, and stays so
    "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334",
    "\u0645\u062d\u0645\u062f",
    "\u05d3\u05d5\u05d3 (David)",
    "\u738b\u5c0f\u660e",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\U0001f1e9\U0001f1ea",
    "\u0e2a\u0e21\u0e0a\u0e32\u0e22",
    "O\u2019Hara-St. John, Jr.",
    "\ufdfa",
    "null",
]
HOSTILE_NAMES = [
    "{{ 7 * 7 }}",
    "{% include 'layout.html' %}{# x #}",
    "<script>alert(1)</script>",
    '</p><img src="https://evil.example/x.png" onerror=alert(1)>',
    "<!--",
    "&lt;b&gt; &amp;",
    "%s %(name)s {0} ${HOME} `id`",
    "=?utf-8?q?Bcc=3A_all=40example=2Eorg?=",
    "Robert'); DROP TABLE registrations;--",
    "\\r\\nBcc: all@example.org",
    "..",
    "From the start",
    "a\u2028b\u2029c",
]
WRONG_NAMES = [
    "",
    " \t ",
    "\u3000\u00a0",
    "\u00e9" * 128 + "x",  # 257 bytes
    "Ada\r\nBcc: all@example.org",
    "Ada\x00",
    "Ada\x1b[31m",
    "Ada\x85",
    "\u202egnp.exe",
    "\u2066Ada\u2069",
]
# An address as it was typed, and as the mail server hears it.
LONGEST = f"{'x' * 64}@{'y' * 63}.{'y' * 63}.{'y' * 61}"
ODD_ADDRESSES = {
    "Ada+5km@EXAMPLE.org": "Ada+5km@example.org",
    "o'hara@example.org": "o'hara@example.org",
    "ada@b\u00fccher.example": "ada@xn--bcher-kva.example",
    "ada@xn--e1afmkfd.example": "ada@xn--e1afmkfd.example",
    "ada@stra\u00dfe.example": "ada@xn--strae-oqa.example",
    '"ada lovelace"@example.org': '"ada lovelace"@example.org',
    '"ada@home"@example.org': '"ada@home"@example.org',
    '"unneeded"@example.org': "unneeded@example.org",
    "\u7528\u6237@\u4f8b\u3048.\u30c6\u30b9\u30c8": "\u7528\u6237@xn--r8jz45g.xn--zckzah",
    "ju\u0308rgen@example.org": "j\u00fcrgen@example.org",
    LONGEST: LONGEST,
}
WRONG_ADDRESSES = [
    "",
    "ada",
    "@example.org",
    "ada@",
    "ada@localhost",
    "ada@[127.0.0.1]",
    "ada@example..org",
    "ada@-example.org",
    "ada@example.org.",
    ".ada@example.org",
    LONGEST + "y",
    "ada@example.org, bob@example.org",
    "Ada <ada@example.org>",
    "ada@example.org\r\nBcc: all@example.org",
    '"ada\r\nBcc: all"@example.org',
    '"ada\x00"@example.org',
    '""@example.org',
    " ada@example.org",
    "ada(comment)@example.org",
    "=?utf-8?q?ada?=@example.org",
    "a\u200bda@example.org",
    "ada@\u2615.example",
]


class Page(HTMLParser):
    """The tags of a page in order, and its text with the blanks put together."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self._text: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))

    def handle_comment(self, data: str) -> None:
        self.tags.append(("comment", [(data, None)]))

    def handle_data(self, data: str) -> None:
        self._text.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self._text).split())


@asynccontextmanager
async def signing_up(folder: Path) -> "AsyncIterator[tuple[SignupServiceAsyncStub, SmtpServer]]":
    """The sign-up service with the real email service behind it, and that with a mail server."""
    async with smtp_server() as smtp:
        settings = {"BATON_DATA_DIR": folder, "BATON_QUEUE_ADDRESS": "127.0.0.1:1", "BATON_EMAIL_SMTP_URL": smtp.url}
        email = email_app.build(EmailSettings.model_validate(settings))
        async with (
            serving(email, f"unix:{folder}/email.sock"),
            running(Neighbourhood(folder).application()) as channel,
        ):
            yield SignupServiceStub(channel), smtp


def request(name: str = "Ada", email: str = "ada@example.org") -> service_pb.RegisterRequest:
    registration = pb.Registration(first_name=name, last_name=name, email=email, distance=pb.DISTANCE_MARATHON)
    return service_pb.RegisterRequest(
        registration=registration, confirmation_mode=pb.CONFIRMATION_MODE_SEQUENTIAL, request_id="r1"
    )


async def mails_to(folder: Path, names: list[str]) -> dict[str, Mail]:
    """Everybody's confirmation, by name; each registration is answered as it was typed."""
    mails: dict[str, Mail] = {}
    async with signing_up(folder) as (stub, smtp):
        for number, name in enumerate(names):
            asked = request(name, f"runner-{number}@example.org")
            asked.request_id = str(number)
            found = (await stub.Register(asked)).registration
            assert (found.first_name, found.last_name) == (name, name)
            assert found.confirmation.state == pb.Confirmation.STATE_SENT
            mails[name] = smtp.mails[-1]
        assert smtp.recipients == [f"runner-{number}@example.org" for number in range(len(names))]
    return mails


def page(mail: Mail) -> Page:
    body = mail.message.get_body(("html",))
    assert body is not None
    return Page(str(body.get_content()))


async def test_a_name_of_any_letters_is_kept_and_stands_in_the_mail_as_it_is(tmp_path: Path) -> None:
    mails = await mails_to(tmp_path, ODD_NAMES)

    wrong = [name for name, mail in mails.items() if f"Hello {name}," not in mail.text]
    assert wrong == []
    assert [name for name, mail in mails.items() if f"Hello {name}," not in page(mail).text] == []


async def test_a_hostile_name_is_nothing_but_a_name(tmp_path: Path) -> None:
    mails = await mails_to(tmp_path, ["Ada", *HOSTILE_NAMES])

    plain = mails.pop("Ada")
    for name, mail in mails.items():
        assert f"Hello {' '.join(name.split())}," in mail.text
        assert f"Hello {' '.join(name.split())}," in page(mail).text
        assert page(mail).tags == page(plain).tags
        assert sorted(mail.message.keys()) == sorted(plain.message.keys())
        assert mail.message["Subject"] == plain.message["Subject"]


async def test_mail_goes_to_an_address_of_any_form(tmp_path: Path) -> None:
    async with signing_up(tmp_path) as (stub, smtp):
        for number, address in enumerate(ODD_ADDRESSES):
            asked = request(email=address)
            asked.request_id = str(number)
            found = (await stub.Register(asked)).registration
            assert (found.email, found.confirmation.last_error) == (address, "")

    assert smtp.recipients == list(ODD_ADDRESSES.values())


@pytest.mark.parametrize("field", ["first_name", "last_name"])
async def test_what_is_no_name_is_refused(field: str, tmp_path: Path) -> None:
    asked = [request() for _ in WRONG_NAMES]
    for each, name in zip(asked, WRONG_NAMES, strict=True):
        setattr(each.registration, field, name)

    await all_refused(tmp_path, asked, f"registration.{field}")


async def test_what_is_no_address_is_refused(tmp_path: Path) -> None:
    await all_refused(tmp_path, [request(email=address) for address in WRONG_ADDRESSES], "registration.email")


async def all_refused(folder: Path, asked: list[service_pb.RegisterRequest], field: str) -> None:
    """Each is INVALID_ARGUMENT for this field alone; nothing is stored, and the request id is still free."""
    async with running(Neighbourhood(folder).application()) as channel:
        stub = SignupServiceStub(channel)
        for each in asked:
            error = await refused(stub.Register(each))
            assert (error.code(), read_error(error).reason) == (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID")
            assert list(violations(error)) == [field], each
            assert len(error.details() or "") < 1_000
        listed = (await stub.ListRegistrations(service_pb.ListRegistrationsRequest())).registrations
        after = (await stub.Register(request())).registration

    assert len(listed) == 0
    assert after.state == pb.Registration.STATE_REGISTERED
