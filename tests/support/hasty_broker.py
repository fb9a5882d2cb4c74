"""A broker that finds a dead connection in two seconds instead of 25: ``python -m tests.support.hasty_broker``."""

import sys

from mesh import server
from queue_service.command_line import main
from tests.support.processes import MeshProcesses, Service

_KEEPALIVE = {
    "grpc.keepalive_time_ms": 1_000,
    "grpc.keepalive_timeout_ms": 1_000,
    "grpc.http2.ping_timeout_ms": 1_000,
}


class HastyBroker(Service):
    """The broker of a mesh, in a hurry."""

    def __init__(self, mesh: MeshProcesses) -> None:
        super().__init__("queue", mesh.queue.address, mesh.environment)
        self._command = (sys.executable, "-m", __name__)


if __name__ == "__main__":
    assert _KEEPALIVE.keys() <= dict(server.OPTIONS).keys()
    server.OPTIONS = tuple((dict(server.OPTIONS) | _KEEPALIVE).items())
    sys.exit(main())
