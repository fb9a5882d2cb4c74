"""The services as operating system processes: started, awaited by their health, stopped in order or killed outright."""

import asyncio
import os
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.eventually import WITHIN

ROOT = Path(__file__).resolve().parents[2]

# Below the ports that the system gives to outgoing connections: one of those could take the port of a killed service
# before the service comes back.
_PORTS = range(20_000, 32_000)
_TRIES = 100

# A process that is not there yet must not be kept off for a second by gRPC's own patience, and the connection of
# another channel to a process that was just killed, which gRPC would share, says nothing about the next one.
_IMPATIENT = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.use_local_subchannel_pool", 1),
)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    for _ in range(_TRIES):
        port = random.choice(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError(f"no free port found in {_TRIES} tries")


class Lines:
    """What a process writes to a pipe, line by line."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._ended = False
        self._news = asyncio.Condition()

    def __str__(self) -> str:
        return "".join(self._lines)

    async def read(self, pipe: asyncio.StreamReader) -> None:
        """Take in everything until the last writer closes the pipe."""
        while line := await pipe.readline():
            async with self._news:
                self._lines.append(line.decode(errors="replace"))
                self._news.notify_all()
        async with self._news:
            self._ended = True
            self._news.notify_all()

    async def have(self, *parts: str, within: float = WITHIN) -> str:
        """The first line that has every one of ``parts`` in it, as soon as it is there."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within), self._news:
                await self._news.wait_for(lambda: self._ended or self._with(parts) is not None)
        line = self._with(parts)
        assert line is not None, f"no line with {parts} within {within:g} s, or before the end"
        return line

    def _with(self, parts: tuple[str, ...]) -> str | None:
        return next((line for line in self._lines if all(part in line for part in parts)), None)


class Program:
    """A command with its environment, and the process that runs it, if one does.

    Args:
        command: what is run.
        environment: all that the process sees of the environment.
        folder: where it runs.
    """

    def __init__(self, *command: str, environment: Mapping[str, str], folder: Path = ROOT) -> None:
        self._command, self._environment, self._folder = command, environment, folder
        self._process: asyncio.subprocess.Process | None = None
        self._readers: list[asyncio.Task[None]] = []
        self.output, self.errors = Lines(), Lines()
        """What it has written since its last start."""

    @property
    def pid(self) -> int:
        """The id of the process that was started last."""
        assert self._process is not None, "never started"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it; what it still has to do before it is of use goes on."""
        assert not self.running, "still running"
        self._show()
        self.output, self.errors = Lines(), Lines()
        self._process = process = await asyncio.create_subprocess_exec(
            *self._command,
            cwd=self._folder,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        self._readers = [
            asyncio.create_task(self.output.read(process.stdout)),
            asyncio.create_task(self.errors.read(process.stderr)),
        ]

    async def ended(self, *, within: float = WITHIN) -> int:
        """Wait until it ends; its exit code, below 0 for the signal that ended it."""
        assert self._process is not None, "never started"
        async with asyncio.timeout(within):
            code = await self._process.wait()
            await asyncio.wait(self._readers)
        return code

    async def run(self) -> int:
        """Start it and wait until it ends by itself; its exit code."""
        await self.start()
        return await self.ended()

    def send(self, signum: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None, "never started"
        self._process.send_signal(signum)

    async def stop(self) -> None:
        """Stop it as an orchestrator does, by SIGTERM; it must say that all went well."""
        self.send(signal.SIGTERM)
        code = await self.ended()
        assert code == 0, f"{self._command} ended with {code} after SIGTERM"

    async def kill(self) -> None:
        """End it at once, in the middle of whatever it does."""
        self.send(signal.SIGKILL)
        code = await self.ended()
        assert code == -signal.SIGKILL, f"{self._command} had ended by itself, with {code}"

    async def clean_up(self) -> None:
        """End it if it lives."""
        if self.running:
            self.send(signal.SIGKILL)
            await self.ended()
        self._show()

    def _show(self) -> None:
        """Show what it wrote: pytest prints that beside a failure."""
        print(f"--- {' '.join(self._command)}\n{self.output}{self.errors}")


class Service(Program):
    """One service of the mesh.

    Args:
        name: such as ``queue``.
        address: where its health is asked for.
        environment: its settings among them.
    """

    def __init__(self, name: str, address: str, environment: Mapping[str, str]) -> None:
        super().__init__(sys.executable, "-m", f"{name}_service", environment=environment)
        self.name, self.address = name, address

    async def healthy(self) -> None:
        """Wait until it serves; an AssertionError when it ends instead."""
        serving = asyncio.create_task(_serving(self.address))
        ended = asyncio.create_task(self.ended())
        done, left = await asyncio.wait((serving, ended), timeout=WITHIN, return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        assert serving in done, f"{self.name} does not serve"
        serving.result()


async def _serving(address: str) -> None:
    async with grpc.aio.insecure_channel(address, options=_IMPATIENT) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        async for response in stub.Watch(health_pb2.HealthCheckRequest(), wait_for_ready=True):
            if response.status == health_pb2.HealthCheckResponse.SERVING:
                return


def environment_with(settings: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with these settings of the mesh and no others."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BATON_")}
    return {**inherited, **settings}


class MeshProcesses:
    """The three services on one data folder, each on a port of its own, none of them started.

    Args:
        folder: for data; its path must leave room for a unix socket's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        signup, queue = (f"127.0.0.1:{free_port()}" for _ in range(2))
        self.settings = {
            "BATON_DATA_DIR": str(folder / "data"),
            "BATON_LOG_FORMAT": "json",
            "BATON_QUEUE_LISTEN": queue,
            "BATON_SIGNUP_LISTEN": signup,
        }
        self.environment = environment_with(self.settings)
        self.queue = Service("queue", queue, self.environment)
        self.email = Service("email", f"unix:{folder / 'data' / 'email.sock'}", self.environment)
        self.signup = Service("signup", signup, self.environment)

    @property
    def services(self) -> tuple[Service, ...]:
        """All three."""
        return self.queue, self.email, self.signup

    def set(self, name: str, value: object) -> None:
        """Change a setting, for every start from here on."""
        self.settings[name] = self.environment[name] = str(value)

    async def start(self, *services: Service) -> None:
        """Start these services, or all, and wait until they serve."""
        chosen = services or self.services
        for service in chosen:
            await service.start()
        await asyncio.gather(*(service.healthy() for service in chosen))

    async def clean_up(self) -> None:
        """Leave no process behind."""
        await clean_up(self.services)


async def clean_up(programs: Iterable[Program]) -> None:
    """Leave none of these processes behind."""
    await asyncio.gather(*(program.clean_up() for program in programs))


@asynccontextmanager
async def mesh_in(folder: Path) -> AsyncIterator[MeshProcesses]:
    """A mesh that leaves no process behind."""
    mesh = MeshProcesses(folder)
    try:
        yield mesh
    finally:
        await mesh.clean_up()
