"""Run the whole mesh: broker, email and sign-up as three processes, until Ctrl-C.

Says where each listens and how to register a runner, once all of them are healthy. Any setting of the services may be
given in the environment; a service that ends takes the others with it.
"""

import asyncio
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from email_service.settings import EmailSettings
from mesh.address import AddressError, claim
from mesh.settings import Settings, SettingsError, load
from queue_service.settings import QueueSettings
from signup_service.settings import SignupSettings
from stage import termination
from stage.processes import Hear, Processes, Service

COLOURS = {"queue": "\x1b[36m", "email": "\x1b[35m", "signup": "\x1b[32m"}


def services() -> list[Service]:
    """The three, in the order in which they start, each where its settings say."""
    models: list[tuple[str, type[Settings]]] = [
        ("queue", QueueSettings),
        ("email", EmailSettings),
        ("signup", SignupSettings),
    ]
    problems: list[str] = []
    found: list[Service] = []
    for name, model in models:
        try:
            settings = load(model)
        except SettingsError as error:
            problems += [problem for problem in error.problems if problem not in problems]
        else:
            found.append(Service(name, _listen(settings)))
    if problems:
        raise SettingsError(problems)
    return found


def _listen(settings: Settings) -> tuple[str, ...]:
    listen: tuple[str, ...] = settings.listen  # type: ignore[attr-defined]  # each of the three has it
    return listen


def refuse_taken(found: Sequence[Service]) -> list[str]:
    """A sentence for every address that something else has."""
    problems = []
    for service in found:
        for address in service.listen:
            try:
                claim(address)
            except AddressError as error:
                problems.append(f"the {service.name} service cannot listen: {error}")
    return problems


def hear() -> Hear:
    """Show what the services log on this terminal, each in its colour."""
    coloured, heard = sys.stdout.isatty(), True

    def show(name: str, line: str) -> None:
        nonlocal heard
        colour, plain = (COLOURS[name], "\x1b[0m") if coloured else ("", "")
        try:
            if heard:
                print(f"{colour}{name:>6} |{plain} {line}", flush=True)
        except OSError:
            heard = False  # nobody reads any more, but a service that cannot write its log would stand still

    return show


def greeting(found: Sequence[Service]) -> str:
    """Where each service listens, and lines to paste."""
    where = {service.name: service.listen[0] for service in found}
    runner = (
        '{"registration": {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com",'
        ' "address": "12 St James Square, London", "distance": "DISTANCE_MARATHON"}}'
    )
    method, target = "baton.signup.v1.SignupService/Register", where["signup"]
    buf = shlex.quote(os.path.relpath(Path(sys.executable).with_name("buf")))
    over = f"--unix-socket {shlex.quote(target[5:])} http://mesh" if target.startswith("unix:") else f"http://{target}"
    lines = ["", "The mesh is up.", *(f"  {name:>6}  {address}" for name, address in where.items()), ""]
    lines += ["Register a runner:", ""]
    lines += [f"  {buf} curl --protocol grpc --http2-prior-knowledge -d '{runner}' {over}/{method}", ""]
    lines += [f"  grpcurl -plaintext -d '{runner}' {target} {method}", ""]
    if not os.environ.get("BATON_EMAIL_SMTP_URL"):
        outbox = load(EmailSettings).outbox
        lines += [f"The confirmation is an .eml file in {outbox} a moment later.", ""]
    lines += ["Ctrl-C stops everything.", ""]
    return "\n".join(lines)


async def main() -> int:
    """0 after Ctrl-C, SIGTERM or the end of the terminal; 1 when a service ended or could not start."""
    try:
        found = services()
    except SettingsError as error:
        print("\n".join(error.problems), file=sys.stderr)
        return 1
    if problems := refuse_taken(found):
        print("\n".join([*problems, "is an earlier `make run` still up?"]), file=sys.stderr)
        return 1
    asked = asyncio.Event()
    for signum in (signal.SIGINT, *termination.endings()):
        asyncio.get_running_loop().add_signal_handler(signum, asked.set)
    mesh = Processes(found, {"BATON_LOG_FORMAT": "console", **os.environ}, Path.cwd(), hear())
    try:
        return await _run(mesh, found, asked)
    finally:
        await mesh.stop()


async def _run(mesh: Processes, found: Sequence[Service], asked: asyncio.Event) -> int:
    stop = asyncio.create_task(asked.wait())
    start = asyncio.create_task(mesh.start())
    await asyncio.wait((stop, start), return_when=asyncio.FIRST_COMPLETED)
    if stop.done():
        start.cancel()
        return 0
    try:
        start.result()
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    print(greeting(found), flush=True)
    ended = asyncio.create_task(mesh.wait())
    await asyncio.wait((stop, ended), return_when=asyncio.FIRST_COMPLETED)
    if stop.done():
        ended.cancel()
        return 0
    print(f"the {ended.result()} service ended; stopping the others", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
