"""Serving: bind every listener, report health, answer reflection, and stop in an orderly way.

Stopping is a written procedure: health says NOT_SERVING, the application drains (takes on no new work, ends its own
streams), calls in flight get the grace, then the application closes. It is safe to stop twice, and before starting.
"""

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import grpc
from grpc_health.v1 import health_pb2_grpc

from mesh import health
from mesh.address import AddressError, claim
from mesh.channel import MAX_MESSAGE_BYTES
from mesh.field_rules import FieldRules
from mesh.guard import GuardInterceptor
from mesh.reflection import add_reflection
from mesh.telemetry import get_logger

log = get_logger(__name__)

# Seconds that calls in flight get to finish after SIGTERM.
DEFAULT_GRACE = 20.0

OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.so_reuseport", 0),  # else a second server binds the same port silently
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", 16_384),
    (
        "grpc.absolute_max_metadata_size",
        16_384,
    ),  # between a soft and a hard limit refusal is a matter of chance
    # A caller that has gone dark holds a stream open, and what was delivered on it, until a ping finds it out.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Clients may ping every ten seconds, the least that gRPC for Go does, and be a little early.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
)


class Application(Protocol):
    """A service, ready to be served: `mesh.server` runs it and knows nothing else about it."""

    packages: Sequence[str]
    """Contracts whose field rules apply, such as ``queue``."""

    def register(self, server: grpc.aio.Server) -> Sequence[str]:
        """Add the servicers; the full names of their services."""

    async def start(self) -> None:
        """Load what calls need and begin what runs beside them. Comes after binding and before the first call."""

    async def drain(self) -> None:
        """Take on no new work and end what would never end by itself; calls in flight go on."""

    async def close(self) -> None:
        """Release everything. No call is in flight any more."""


class Server:
    """One application on its listeners.

    Args:
        application: what is served; the server closes it.
        listen: addresses, ``127.0.0.1:0`` for a free port, ``unix:/path``.
        grace: seconds that calls in flight get when it stops.
    """

    def __init__(self, application: Application, listen: Sequence[str], *, grace: float = DEFAULT_GRACE) -> None:
        self._application = application
        self._listen = tuple(listen)
        self._grace = grace
        self._health = health.HealthServicer()
        self._server: grpc.aio.Server | None = None
        self._services: tuple[str, ...] = ()
        self._stopping: asyncio.Task[None] | None = None
        self.addresses: tuple[str, ...] = ()

    async def start(self) -> None:
        """Bind, start the application, serve.

        Raises:
            AddressError: a listener is taken or may not be bound; nothing is served then.
        """
        for address in self._listen:
            claim(address)
        server = self._server = grpc.aio.server(
            interceptors=[GuardInterceptor(FieldRules(self._application.packages))], options=OPTIONS
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        self._services = tuple(self._application.register(server))
        add_reflection(server, (*self._services, health.NAME))
        for address in self._listen:
            self.addresses = (*self.addresses, _bind(server, address))
        await self._application.start()
        await server.start()
        self._health.begin(self._services)
        log.info("serving", action="serving", listen=", ".join(self.addresses))

    async def stop(self) -> None:
        """Stop in order; a second call waits for the first."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop())
        await asyncio.shield(self._stopping)

    async def _stop(self) -> None:
        if self._server is not None:
            self._health.end()
            log.info("draining", action="draining", grace=self._grace)
            await self._application.drain()
            await self._server.stop(self._grace)
        await self._application.close()
        for address in self.addresses:
            if address.startswith("unix:"):
                _forget_socket(Path(address.removeprefix("unix:")))
        log.info("stopped", action="stopped")


def _forget_socket(path: Path) -> None:
    path.unlink(missing_ok=True)


def _bind(server: grpc.aio.Server, address: str) -> str:
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise AddressError(f"{address} cannot be bound") from error
    return address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{port}"


async def serve(application: Application, listen: Sequence[str], *, grace: float = DEFAULT_GRACE) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        AddressError: a listener is taken or may not be bound.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    server = Server(application, listen, grace=grace)
    try:
        await server.start()
        await stop.wait()
    finally:
        await server.stop()
