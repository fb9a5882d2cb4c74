"""The email service is for its sisters only, and what is stored is for its user only."""

import stat
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest

from tests.support.processes import MeshProcesses, Service

pytestmark = pytest.mark.acceptance


async def test_the_email_service_is_on_a_socket_that_other_users_cannot_reach(mesh: MeshProcesses) -> None:
    await mesh.start(mesh.email)

    path = Path(mesh.email.address.removeprefix("unix:"))
    assert stat.S_ISSOCK(path.stat().st_mode)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert addresses(mesh.email) == set()


async def test_the_others_are_on_the_loopback_interface_only(mesh: MeshProcesses) -> None:
    await mesh.start(mesh.queue, mesh.signup)

    for service in (mesh.queue, mesh.signup):
        assert addresses(service) == {service.address}


def addresses(service: Service) -> set[str]:
    """The internet addresses on which a service listens."""
    connections = psutil.Process(service.pid).net_connections(kind="inet")
    listening = [connection.laddr for connection in connections if connection.status == psutil.CONN_LISTEN]
    # gRPC listens on IPv4 by way of IPv6.
    return {f"{address.ip.removeprefix('::ffff:')}:{address.port}" for address in listening}
