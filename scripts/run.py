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
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from email_service.settings import EmailSettings
from mesh.address import AddressError, claim
from mesh.settings import Settings, SettingsError, load
from queue_service.settings import QueueSettings
from signup_service.settings import SignupSettings

ROOT = Path(__file__).resolve().parent.parent
HEALTHY_WITHIN = 30.0
# The services drain for up to their grace and then some; what has not stopped by then is killed.
STOPPED_WITHIN = 45.0

COLOURS = {"queue": "\x1b[36m", "email": "\x1b[35m", "signup": "\x1b[32m"}


@dataclass(frozen=True)
class Service:
    """One process of the mesh."""

    name: str
    listen: tuple[str, ...]

    @property
    def module(self) -> str:
        """What ``python -m`` starts."""
        return f"{self.name}_service"


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


class Mesh:
    """The processes, and their logs on one terminal."""

    def __init__(self, found: Sequence[Service]) -> None:
        self._services = found
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._readers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start all and wait until each is healthy; raises RuntimeError naming one that is not."""
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        environment.setdefault("BATON_LOG_FORMAT", "console")
        for service in self._services:
            self._processes[service.name] = process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                service.module,
                cwd=Path.cwd(),
                env=environment,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,  # Ctrl-C reaches this process alone, which stops them in order
            )
            self._readers.append(asyncio.create_task(self._relay(service.name, process)))
        await asyncio.gather(*(self._healthy(service) for service in self._services))

    async def wait(self) -> str:
        """Wait until one of them ends by itself; its name."""
        waits = {asyncio.create_task(process.wait()): name for name, process in self._processes.items()}
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return waits[done.pop()]

    async def stop(self) -> None:
        """Stop all: sign-up first, so that what it still sends has somewhere to go."""
        for service in reversed(self._services):
            process = self._processes.get(service.name)
            if process is None or process.returncode is not None:
                continue
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOPPED_WITHIN)
            except TimeoutError:
                process.kill()
                await process.wait()
        await asyncio.gather(*self._readers)

    async def _healthy(self, service: Service) -> None:
        async with grpc.aio.insecure_channel(service.listen[0]) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            ended = asyncio.create_task(self._processes[service.name].wait())
            check = asyncio.create_task(_serving(stub))
            done, left = await asyncio.wait((ended, check), timeout=HEALTHY_WITHIN, return_when=asyncio.FIRST_COMPLETED)
            for task in left:
                task.cancel()
            if check not in done:
                why = f"ended with code {ended.result()}" if ended in done else "did not become healthy in time"
                raise RuntimeError(f"the {service.name} service {why}")

    async def _relay(self, name: str, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        colour, plain = (COLOURS[name], "\x1b[0m") if sys.stdout.isatty() else ("", "")
        heard = True
        while line := await process.stderr.readline():
            try:
                if heard:
                    print(f"{colour}{name:>6} |{plain} {line.decode(errors='replace').rstrip()}", flush=True)
            except BrokenPipeError:
                heard = False  # nobody reads any more, but a service that cannot write its log would stand still


async def _serving(stub: health_pb2_grpc.HealthStub) -> None:
    request = health_pb2.HealthCheckRequest()
    async for response in stub.Watch(request, wait_for_ready=True):
        if response.status == health_pb2.HealthCheckResponse.SERVING:
            return


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
        lines += [f"The confirmation is an .eml file in {outbox} a moment later. Ctrl-C stops everything.", ""]
    return "\n".join(lines)


async def main() -> int:
    """0 after Ctrl-C or SIGTERM; 1 when a service ended or could not start."""
    try:
        found = services()
    except SettingsError as error:
        print("\n".join(error.problems), file=sys.stderr)
        return 1
    if problems := refuse_taken(found):
        print("\n".join([*problems, "is an earlier `make run` still up?"]), file=sys.stderr)
        return 1
    asked = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, asked.set)
    mesh = Mesh(found)
    try:
        return await _run(mesh, found, asked)
    finally:
        await mesh.stop()


async def _run(mesh: Mesh, found: Sequence[Service], asked: asyncio.Event) -> int:
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
