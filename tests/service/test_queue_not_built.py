"""What the contract promises and this release does not have yet is said, never pretended."""

import grpc
import pytest

from baton.queue.v1 import queue_service_pb2
from mesh.status import read_error
from tests.support.refusals import refused
from tests.support.running_broker import RunningBroker


@pytest.mark.parametrize(
    ("service", "method", "request_message"),
    [
        ("queues", "CreateRedriveTask", queue_service_pb2.CreateRedriveTaskRequest()),
        ("queues", "GetRedriveTask", queue_service_pb2.GetRedriveTaskRequest(redrive_task_id="x")),
        ("queues", "ListRedriveTasks", queue_service_pb2.ListRedriveTasksRequest(queue="work")),
        ("queues", "CancelRedriveTask", queue_service_pb2.CancelRedriveTaskRequest(redrive_task_id="x")),
    ],
)
async def test_what_is_not_built_says_so(
    broker: RunningBroker, service: str, method: str, request_message: object
) -> None:
    error = await refused(getattr(getattr(broker, service), method)(request_message))

    assert (error.code(), read_error(error).reason) == (grpc.StatusCode.UNIMPLEMENTED, "NOT_BUILT")
