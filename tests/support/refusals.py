"""What a refused call says."""

from collections.abc import Awaitable

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status


async def refused(call: Awaitable[object]) -> grpc.aio.AioRpcError:
    """The error of a call that has to fail."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


def violations(error: grpc.aio.AioRpcError) -> dict[str, str]:
    """Its field violations, by field."""
    status = rpc_status.from_call(error)
    request = error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(request)
    return {violation.field: violation.description for violation in request.field_violations}
