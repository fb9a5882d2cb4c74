"""The services as operating system processes: started, awaited by their health, stopped in order, or killed."""

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

HEALTHY_WITHIN = 30.0
# The services drain for up to their grace and then some; what has not stopped by then is killed.
STOPPED_WITHIN = 45.0

# A service that is not there yet must not be kept off for a second by gRPC's own patience.
_IMPATIENT = (("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200))

Hear = Callable[[str, str], None]
"""Told each line that a service logs: the name of the service, and the line."""


@dataclass(frozen=True)
class Service:
    """One process of the mesh."""

    name: str
    listen: tuple[str, ...]

    @property
    def module(self) -> str:
        """What ``python -m`` starts."""
        return f"{self.name}_service"


class Processes:
    """The processes of a mesh.

    Args:
        services: in the order in which they start.
        environment: all that they see of the environment.
        folder: where they run.
        hear: told what they log.
    """

    def __init__(self, services: Sequence[Service], environment: Mapping[str, str], folder: Path, hear: Hear) -> None:
        self._services = {service.name: service for service in services}
        self._environment = {**environment, "PYTHONUNBUFFERED": "1"}
        self._folder, self._hear = folder, hear
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._readers: dict[str, asyncio.Task[None]] = {}

    async def start(self, *names: str) -> None:
        """Start these, or all, and wait until each is healthy; raises RuntimeError naming one that is not."""
        chosen = [self._services[name] for name in names or self._services]
        for service in chosen:
            self._processes[service.name] = process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                service.module,
                cwd=self._folder,
                env=self._environment,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,  # Ctrl-C reaches this process alone, which stops them in order
            )
            self._readers[service.name] = asyncio.create_task(self._read(service.name, process))
        await asyncio.gather(*(self._healthy(service) for service in chosen))

    async def wait(self) -> str:
        """Wait until one of them ends by itself; its name."""
        waits = {asyncio.create_task(process.wait()): name for name, process in self._processes.items()}
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return waits[done.pop()]

    async def kill(self, name: str) -> None:
        """End one at once, in the middle of whatever it does, as ``kill -9`` does."""
        process = self._processes[name]
        process.kill()
        await process.wait()
        await self._readers[name]

    async def stop(self) -> None:
        """Stop all, the last one first, so that what it still sends has somewhere to go."""
        for name in reversed(self._services):
            process = self._processes.get(name)
            if process is None or process.returncode is not None:
                continue
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOPPED_WITHIN)
            except TimeoutError:
                process.kill()
                await process.wait()
        await asyncio.gather(*self._readers.values())

    async def _healthy(self, service: Service) -> None:
        async with grpc.aio.insecure_channel(service.listen[0], options=_IMPATIENT) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            ended = asyncio.create_task(self._processes[service.name].wait())
            check = asyncio.create_task(_serving(stub))
            done, left = await asyncio.wait((ended, check), timeout=HEALTHY_WITHIN, return_when=asyncio.FIRST_COMPLETED)
            for task in left:
                task.cancel()
            if check not in done:
                why = f"ended with code {ended.result()}" if ended in done else "did not become healthy in time"
                raise RuntimeError(f"the {service.name} service {why}")

    async def _read(self, name: str, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while line := await process.stderr.readline():
            self._hear(name, line.decode(errors="replace").rstrip())


async def _serving(stub: health_pb2_grpc.HealthStub) -> None:
    request = health_pb2.HealthCheckRequest()
    async for response in stub.Watch(request, wait_for_ready=True):
        if response.status == health_pb2.HealthCheckResponse.SERVING:
            return
