"""A gRPC server that answers the broker's calls with the same messages and does nothing: the transport's own cost."""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message

from baton.queue.v1 import consumer_service_pb2 as consumer_pb
from baton.queue.v1 import message_pb2 as pb
from baton.queue.v1 import producer_service_pb2 as producer_pb
from baton.queue.v1 import queue_pb2, queue_service_pb2
from benchmarks.broker.interpreters import OURS
from benchmarks.broker.load import body
from benchmarks.broker.servers.process import running
from stage.own_mesh import free_port

_MESSAGE_ID = "01981d2f-0000-7000-8000-000000000000"
_LEASE_ID = "A" * 43 + "="
_SIZE = 200
_MICROSECOND = 1000

Context = grpc.aio.ServicerContext[Any, Any]


async def create_queue(request: queue_service_pb2.CreateQueueRequest, _: Context) -> Message:
    """Has every queue, and makes none."""
    return queue_service_pb2.CreateQueueResponse(queue=queue_pb2.Queue(name=request.queue.name))


async def send_message(request: producer_pb.SendMessageRequest, _: Context) -> Message:
    """Answers as the broker does, and keeps nothing."""
    return producer_pb.SendMessageResponse(result=producer_pb.SendResult(message_id=_MESSAGE_ID))


async def send_messages(request: producer_pb.SendMessagesRequest, _: Context) -> Message:
    """Likewise, with a result for each message."""
    results = [producer_pb.SendResult(message_id=_MESSAGE_ID) for _ in request.messages]
    return producer_pb.SendMessagesResponse(results=results)


async def pull_messages(request: consumer_pb.PullMessagesRequest, _: Context) -> Message:
    """Always has as many messages as are asked for."""
    return consumer_pb.PullMessagesResponse(messages=[_leased() for _ in range(request.max_messages)])


async def settle_messages(request: consumer_pb.SettleMessagesRequest, _: Context) -> Message:
    """Takes every ack for good."""
    applied = pb.LEASE_OUTCOME_APPLIED
    results = [pb.SettlementResult(lease_id=each.lease_id, outcome=applied) for each in request.settlements]
    return consumer_pb.SettleMessagesResponse(results=results)


_METHODS: dict[str, dict[str, tuple[Any, type[Message]]]] = {
    "QueueService": {"CreateQueue": (create_queue, queue_service_pb2.CreateQueueRequest)},
    "ProducerService": {
        "SendMessage": (send_message, producer_pb.SendMessageRequest),
        "SendMessages": (send_messages, producer_pb.SendMessagesRequest),
    },
    "ConsumerService": {
        "PullMessages": (pull_messages, consumer_pb.PullMessagesRequest),
        "SettleMessages": (settle_messages, consumer_pb.SettleMessagesRequest),
    },
}


@asynccontextmanager
async def no_op(folder: Path) -> AsyncIterator[str]:
    """Its address."""
    address = f"127.0.0.1:{(port := free_port())}"
    module = "benchmarks.broker.servers.no_op"
    async with running([str(OURS), "-m", module, "--listen", address], Path.cwd(), port, log=folder / "server.log"):
        yield address


async def serve(listen: str) -> None:
    """Serve until the process is ended."""
    server = grpc.aio.server()
    for service, methods in _METHODS.items():
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                behaviour, request_deserializer=request.FromString, response_serializer=_serialized
            )
            for name, (behaviour, request) in methods.items()
        }
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(f"baton.queue.v1.{service}", handlers)])
    server.add_insecure_port(listen)
    await server.start()
    await server.wait_for_termination()


def _serialized(response: Message) -> bytes:
    return response.SerializeToString()


def _leased() -> pb.LeasedMessage:
    message = pb.QueueMessage(message_id=_MESSAGE_ID, data=body(0, _SIZE))
    for instant in (message.send_time, message.expire_time):
        instant.seconds, instant.nanos = 1_800_000_000, _MICROSECOND
    leased = pb.LeasedMessage(lease_id=_LEASE_ID, message=message, attempt=1, delivery_count=1)
    leased.lease_expire_time.CopyFrom(message.expire_time)
    return leased


def main() -> int:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", required=True)
    asyncio.run(serve(parser.parse_args().listen))
    return 0


if __name__ == "__main__":
    sys.exit(main())
