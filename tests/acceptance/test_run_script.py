"""``make run``: the whole mesh from one command, as a newcomer meets it."""

import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from email import message_from_bytes, policy
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest

from tests.support.eventually import eventually
from tests.support.processes import ROOT, Program, environment_with, free_port
from tests.support.queue_file import write_queue_file
from tests.support.runners import runner, signing_up

pytestmark = pytest.mark.acceptance


class Run:
    """``scripts/run.py`` in a folder of its own, on ports of its own, with everything else as it comes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.queue, self.signup = (f"127.0.0.1:{free_port()}" for _ in range(2))
        self.environment = environment_with(
            {
                "BATON_QUEUE_LISTEN": self.queue,
                "BATON_SIGNUP_LISTEN": self.signup,
                "BATON_QUEUE_CONFIG": str(write_queue_file(folder / "queues.toml")),
            }
        )
        self.script = self.beside()
        self.services: list[psutil.Process] = []

    def beside(self) -> Program:
        """Another one just like it."""
        return Program(sys.executable, str(ROOT / "scripts/run.py"), environment=self.environment, folder=self.folder)

    async def start(self) -> None:
        """Start, and wait until it has said all it has to say."""
        await self.script.start()
        await self.script.output.have("Ctrl-C stops everything")
        self.services = psutil.Process(self.script.pid).children(recursive=True)

    async def interrupt(self) -> int:
        """Press Ctrl-C; the exit code."""
        self.script.send(signal.SIGINT)
        return await self.script.ended()

    def left(self) -> list[psutil.Process]:
        """Services that still live."""
        return [service for service in self.services if service.is_running()]

    async def clean_up(self) -> None:
        # A service that outlives the script would keep the script's output open.
        for service in self.left():
            service.kill()
        await self.script.clean_up()


@pytest.fixture
async def run(folder: Path) -> AsyncIterator[Run]:
    run = Run(folder)
    yield run
    await run.clean_up()


def require(tool: Path) -> None:
    """Skip without a tool; where the tests must be complete, fail."""
    if not tool.exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{tool} is missing")


async def test_it_says_where_everything_is_and_how_to_register_a_runner(run: Run) -> None:
    require(Path(sys.executable).with_name("buf"))
    await run.start()

    for name, address in (("queue", run.queue), ("email", "unix:.baton/email.sock"), ("signup", run.signup)):
        await run.script.output.have(f"{name}  {address}")
    line = await run.script.output.have("buf curl")
    cache = {"BUF_CACHE_DIR": str(run.folder / "buf")}
    shell = Program("/bin/sh", "-c", line, environment=run.environment | cache, folder=run.folder)
    code = await shell.run()

    assert (code, str(shell.errors)) == (0, "")
    registration = json.loads(str(shell.output))["registration"]
    (letter,) = await letters(run.folder / ".baton" / "outbox")
    assert message_from_bytes(letter.read_bytes(), policy=policy.default)["To"] == registration["email"]


async def test_a_second_one_beside_it_names_the_taken_ports_and_leaves_the_first_alone(run: Run) -> None:
    await run.start()
    second = run.beside()

    code = await second.run()

    assert code == 1
    assert f"the queue service cannot listen: {run.queue} is taken" in str(second.errors)
    assert f"the signup service cannot listen: {run.signup} is taken" in str(second.errors)
    assert "Traceback" not in str(second.errors)
    assert str(second.output) == ""
    assert len(run.left()) == 3


async def test_ctrl_c_stops_everything_and_what_was_stored_is_there_the_next_time(run: Run) -> None:
    await run.start()
    async with signing_up(run.signup) as sign_up:
        registration = await sign_up.decided(await sign_up.register(runner()))

        code = await run.interrupt()
        left, said = run.left(), str(run.script.errors)
        await run.start()
        found = await sign_up.all()

    assert code == 0
    assert (left, said) == ([], "")
    assert found == [registration]


async def test_the_end_of_its_terminal_stops_everything(run: Run) -> None:
    await run.start()

    run.script.send(signal.SIGHUP)

    assert await run.script.ended() == 0
    assert run.left() == []


async def test_a_service_that_ends_takes_the_others_with_it(run: Run) -> None:
    await run.start()

    run.services[0].kill()
    code = await run.script.ended()

    assert code == 1
    assert "service ended; stopping the others" in str(run.script.errors)
    assert run.left() == []


async def test_a_service_that_cannot_start_is_named_with_its_reason(run: Run) -> None:
    (run.folder / "queues.toml").write_text("[[queues]]\nname = 'Errands'\n")

    code = await run.script.run()

    assert code == 1
    assert "the queue service ended with code 78" in str(run.script.errors)
    assert "must match" in str(run.script.output)
    assert "The mesh is up" not in str(run.script.output)
    assert "Traceback" not in str(run.script.errors)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("BATON_QUEUE_LISTN", "127.0.0.1:1", "did you mean BATON_QUEUE_LISTEN?"),
        ("BATON_GRACE", "soon", "BATON_GRACE: "),
    ],
)
async def test_a_setting_that_cannot_be_used_is_said_once(run: Run, name: str, value: str, said: str) -> None:
    run.environment[name] = value

    code = await run.script.run()

    assert code == 1
    assert str(run.script.errors).count(said) == 1
    assert "Traceback" not in str(run.script.errors)


async def letters(outbox: Path) -> list[Path]:
    async def look() -> list[Path]:
        return list(outbox.glob("*.eml"))

    return await eventually(look, bool)
