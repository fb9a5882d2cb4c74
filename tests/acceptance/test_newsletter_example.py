"""A second user of the email service: the newsletter of the examples, against real processes and a mail server."""

import re
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.processes import ROOT, MeshProcesses, Program, environment_with
from tests.support.python_source import PACKAGES, imports, imports_any, read
from tests.support.smtp_server import SmtpServer

pytestmark = pytest.mark.acceptance

EXAMPLE = Path("examples/newsletter")
README = (ROOT / EXAMPLE / "README.md").read_text(encoding="utf-8")
READERS = ["ada@example.org", "grace@example.org", "jürgen@xn--bcher-kva.example", "alan@example.org"]


@pytest.fixture
async def program(mesh: MeshProcesses) -> Program:
    """The program with a copy of its files, and a broker and an email service that run."""
    shutil.copytree(ROOT / EXAMPLE, mesh.folder / "newsletter", ignore=shutil.ignore_patterns("known.csv"))
    await mesh.start(mesh.queue, mesh.email)
    return newsletter(mesh)


def newsletter(mesh: MeshProcesses, *, email: str = "") -> Program:
    script, issue = ROOT / EXAMPLE / "send_newsletter.py", mesh.folder / "newsletter" / "issue.toml"
    where = ("--broker", mesh.queue.address, "--email", email or mesh.email.address)
    return Program(sys.executable, str(script), *where, str(issue), environment=environment_with({}))


async def run(program: Program) -> tuple[int, list[str]]:
    try:
        code = await program.run()
    finally:
        await program.clean_up()
    return code, str(program.output).splitlines()


async def test_who_is_refused_is_named_who_is_put_off_has_it_later_and_nobody_has_it_twice(
    mesh: MeshProcesses, smtp: SmtpServer, program: Program
) -> None:
    smtp.refuse("550 no such mailbox", recipient="grace@example.org")
    smtp.refuse("451 try again later", recipient="alan@example.org")
    refusal = "FAILED_PRECONDITION: SMTP_550: the mail server answered 550 no such mailbox (attempts: 1)"
    expected = [
        "has it   ada@example.org",
        f"has not  grace@example.org  {refusal}",
        "has it   jürgen@bücher.example",
        "has it   alan@example.org",
        "3 of 4 have it",
    ]

    assert await run(program) == (1, expected)
    assert sorted(smtp.recipients) == sorted(set(READERS) - {"grace@example.org"})

    assert await run(program) == (1, expected)
    assert len(smtp.mails) == 3

    (mesh.folder / "newsletter" / "known.csv").unlink()
    code, lines = await run(program)
    assert (code, lines[1], lines[-1]) == (1, expected[1], "0 of 4 have it")
    assert [line.split()[:2] for line in lines].count(["no", "word"]) == 3
    assert len(smtp.mails) == 3


async def test_every_mail_is_for_its_reader(mesh: MeshProcesses, smtp: SmtpServer, program: Program) -> None:
    await run(program)

    mails = {mail.recipient: mail for mail in smtp.mails}
    ada = mails["ada@example.org"]
    assert sorted(mails) == sorted(READERS)
    assert ada.message["Subject"] == "The route is out"
    assert ada.message["List-Unsubscribe"] == "<https://example.org/newsletter/leave?reader=7f3c1a>"
    assert ada.text.startswith("Hello Ada,")
    assert mails["alan@example.org"].text.startswith("The route is out")


async def test_a_wrong_address_loses_nothing(mesh: MeshProcesses, smtp: SmtpServer, program: Program) -> None:
    lost = newsletter(mesh, email=f"unix:{mesh.folder}/nobody.sock")
    await lost.start()
    await mesh.queue.errors.have("newsletter", "unreachable")
    await lost.kill()

    assert (await run(program))[0] == 0
    assert sorted(smtp.recipients) == sorted(READERS)


async def test_without_a_broker_it_gives_up_and_says_so(mesh: MeshProcesses) -> None:
    shutil.copytree(ROOT / EXAMPLE, mesh.folder / "newsletter")
    program = newsletter(mesh)

    code, lines = await run(program)

    assert (code, lines) == (1, [])
    assert "the broker said no" in str(program.errors)
    assert "Traceback" not in str(program.errors)


async def test_the_readmes_commands_do_what_it_says(mesh: MeshProcesses, program: Program) -> None:
    send, ask = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    (said,) = re.findall(r"^```text\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)

    assert await shell(mesh, send) == said
    assert mesh.email.address in await shell(mesh, ask)


async def shell(mesh: MeshProcesses, text: str) -> str:
    for there, here in (
        ("127.0.0.1:50052", mesh.queue.address),
        ("unix:.baton/email.sock", mesh.email.address),
        ("examples/newsletter/issue.toml", str(mesh.folder / "newsletter" / "issue.toml")),
        (".venv/bin/", f"{Path(sys.executable).parent}/"),
    ):
        text = text.replace(there, here)
    program = Program("bash", "-euo", "pipefail", "-c", text, environment=environment_with({}))
    code, _ = await run(program)
    assert code == 0, str(program.errors)
    return str(program.output)


async def test_the_readmes_declaration_is_one_that_the_broker_takes(mesh: MeshProcesses) -> None:
    (declared,) = re.findall(r"^```toml\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    path = mesh.folder / "newsletter.toml"
    path.write_text(declared, encoding="utf-8")

    checked = Program(sys.executable, "-m", "queue_service", "check", str(path), environment=environment_with({}))

    assert (await run(checked))[0] == 0, str(checked.errors)
    assert tomllib.loads(declared)["queues"][0]["name"] == "newsletter"


def test_the_program_needs_the_contracts_and_the_client_alone() -> None:
    code = read(EXAMPLE / "send_newsletter.py")

    assert imports_any(code, *PACKAGES) == imports_any(code, "baton_client")
    foreign = {name.split(".")[0] for name in imports(code)} - set(sys.stdlib_module_names)
    assert foreign == {"baton", "baton_client", "google", "grpc"}
