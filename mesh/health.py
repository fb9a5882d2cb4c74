"""gRPC's health service, by its usual protocol; the watchers' streams end with what they watch.

The servicer that grpcio-health-checking brings never ends a Watch, so one watcher would hold up every stop until the
grace is over.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

from grpc_health.v1 import health_pb2, health_pb2_grpc

from mesh.errors import NotFound

NAME: str = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class HealthServicer(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # the package ships no types
    """Says of each service, and of the server as the service "", whether it serves."""

    def __init__(self) -> None:
        self._status: dict[str, int] = {}
        self._changed = asyncio.Event()
        self._ended = False

    def begin(self, services: Iterable[str]) -> None:
        """All of these services, and with them the server, serve from now on."""
        self._set(dict.fromkeys(("", *services), _SERVING))

    def end(self) -> None:
        """Nothing serves any more. Watchers are told, and then their streams end."""
        self._ended = True
        self._set(dict.fromkeys(self._status, _NOT_SERVING))

    async def Check(self, request: Any, context: Any) -> Any:
        """Whether a service serves."""
        return health_pb2.HealthCheckResponse(status=self._known(request.service))

    async def List(self, request: Any, context: Any) -> Any:
        """Whether each service serves."""
        statuses = {name: health_pb2.HealthCheckResponse(status=status) for name, status in self._status.items()}
        return health_pb2.HealthListResponse(statuses=statuses)

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Whether a service serves, now and after each change."""
        told = None
        while True:
            changed, status = self._changed, self._status.get(request.service, _UNKNOWN)
            if status != told:
                told = status
                yield health_pb2.HealthCheckResponse(status=status)
            elif self._ended:
                return
            else:
                await changed.wait()

    def _known(self, service: str) -> int:
        if service not in self._status:
            message = f"no service {service!r} here"
            raise NotFound("SERVICE_NOT_FOUND", message, resource_type="service", resource_name=service)
        return self._status[service]

    def _set(self, status: dict[str, int]) -> None:
        self._status.update(status)
        self._changed.set()
        self._changed = asyncio.Event()
