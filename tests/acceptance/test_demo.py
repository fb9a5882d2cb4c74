"""``make demo``: the story is complete and holds, and a mail server that lies is found out."""

import asyncio
import re
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest

from tests.support.processes import ROOT, environment_with, free_port, mesh_in
from tests.support.queue_file import write_queue_file

pytestmark = pytest.mark.acceptance

CHAPTERS = ("1. SEQUENTIAL", "2. BACKGROUND", "3. QUEUED", "4. The dead letter", "5. kill -9", "The claims, checked")
CLAIMS = 8
WITHIN = 110.0


@dataclass
class Demo:
    """One run, from its command line to its end."""

    code: int
    text: str
    errors: str

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def said(self, pattern: str) -> list[str]:
        """The lines in which a pattern is found."""
        return [line for line in self.lines if re.search(pattern, line)]


def begin(*options: str, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "examples.demo", "--brisk", *options],
        cwd=ROOT,
        env=environment or environment_with({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> Demo:
    try:
        text, errors = process.communicate(timeout=WITHIN)
    finally:
        for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else ():
            child.kill()
        process.kill()
    return Demo(process.returncode, text, errors)


@dataclass
class Demos:
    """Three runs at the same time: one as it comes, one against a mail server that lies, one on a running mesh."""

    honest: Demo
    lie: Demo
    on_mesh: Demo


@pytest.fixture(scope="module")
def demos() -> Demos:
    return asyncio.run(all_three())


async def all_three() -> Demos:
    with tempfile.TemporaryDirectory(prefix="baton-", ignore_cleanup_errors=True) as name:
        async with mesh_in(Path(name)) as mesh:
            mesh.set("BATON_QUEUE_CONFIG", write_queue_file(Path(name, "queues.toml")))
            mesh.set("BATON_EMAIL_SMTP_URL", f"smtp://127.0.0.1:{free_port()}")
            await mesh.start()
            runs = begin(), begin("--lie"), begin("--mesh", environment=mesh.environment)
            return Demos(*await asyncio.gather(*(asyncio.to_thread(end, run) for run in runs)))


def test_the_story_is_complete_and_every_claim_holds(demos: Demos) -> None:
    demo = demos.honest

    assert (demo.code, demo.errors) == (0, "")
    assert [chapter for chapter in CHAPTERS if not demo.said(f"^{re.escape(chapter)}")] == []
    assert len(demo.said("^  holds ")) == CLAIMS
    assert demo.said("^Every claim holds")


def test_it_shows_what_each_way_does_when_a_mail_is_refused(demos: Demos) -> None:
    demo = demos.honest

    assert demo.said(r"sign-up .* has an answer after \d+ ms: registered, confirmation SENT")
    assert demo.said(r"sign-up .* confirmation FAILED \(SMTP_451")
    assert demo.said("broker .* hands over a batch of 10: ")
    assert demo.said(r"broker .* failed with SMTP_450: attempt 2 in 5\.0 s")
    assert demo.said("broker .* message moves to registration-confirmations-dead")
    assert demo.said("demo .* kill -9, while the mails to .* are under way")
    assert demo.said("sign-up .* confirmation: WITHDRAWN; mail about the cancellation: SENT")


def test_piped_it_is_plain_text_that_fits_a_terminal(demos: Demos) -> None:
    demo = demos.honest

    assert "\x1b" not in demo.text
    assert max(map(len, demo.lines)) <= 100


def test_a_mail_server_that_takes_mails_twice_is_found_out(demos: Demos) -> None:
    lie = demos.lie

    assert lie.code == 1
    assert lie.said("^  FAILS  nobody was mailed twice")
    assert lie.said("^Not every claim holds")


def test_on_a_running_mesh_the_mail_server_has_to_be_where_its_settings_say() -> None:
    demo = end(begin("--mesh"))

    assert demo.code == 78
    assert demo.errors.startswith("BATON_EMAIL_SMTP_URL: must be smtp://127.0.0.1:<port>")
    assert demo.text == ""


def test_on_a_running_mesh_it_tells_all_but_the_kill(demos: Demos) -> None:
    demo = demos.on_mesh

    assert (demo.code, demo.errors) == (0, "")
    assert [chapter for chapter in CHAPTERS if not demo.said(f"^{re.escape(chapter)}")] == ["5. kill -9"]


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda ending: ending.name)
def test_whoever_ends_it_leaves_no_service_behind(ending: signal.Signals) -> None:
    process = begin()
    assert process.stdout is not None
    while "1. SEQUENTIAL" not in process.stdout.readline():
        assert process.poll() is None
    services = psutil.Process(process.pid).children(recursive=True)

    process.send_signal(ending)
    _, left = psutil.wait_procs(services, timeout=WITHIN / 2)
    for service in left:
        service.kill()
    demo = end(process)

    assert (demo.code, demo.errors) == (1, "")
    assert (len(services), left) == (4, [])


def test_a_reader_who_has_seen_enough_ends_it_quietly() -> None:
    process = begin()
    assert process.stdout is not None

    process.stdout.readline()
    process.stdout.close()
    _, errors = process.communicate(timeout=WITHIN)

    assert (process.returncode, errors) == (1, "")
