"""All rows by method, and all fields by method: what a test of completeness compares."""

import re
from collections.abc import Iterator

from google.protobuf.descriptor import Descriptor, MethodDescriptor

from baton.queue.v1 import consumer_service_pb2, producer_service_pb2, queue_service_pb2
from tests.support.bad_requests import contents, leases, queues, sends
from tests.support.bad_requests.row import Bad

PACKAGE = "baton.queue.v1"
FILES = (producer_service_pb2, consumer_service_pb2, queue_service_pb2)


def unary_rows() -> dict[str, tuple[Bad, ...]]:
    """The rows of each unary method, as ``Service/Method``."""
    rows: dict[str, tuple[Bad, ...]] = {}
    for table in (sends.ROWS, leases.ROWS, queues.ROWS, contents.ROWS):
        for method, some in table.items():
            rows[method] = (*rows.get(method, ()), *some)
    return rows


def all_rows() -> dict[str, tuple[Bad, ...]]:
    """The rows of every method."""
    streams = (*leases.STREAM_OPENINGS, *leases.STREAM_REQUESTS)
    return {
        **unary_rows(),
        "ProducerService/StreamSendMessages": sends.STREAM_SENDS,
        "ConsumerService/StreamMessages": streams,
    }


def methods() -> dict[str, MethodDescriptor]:
    """Every method that callers of the broker have, as ``Service/Method``."""
    services = (service for file in FILES for service in file.DESCRIPTOR.services_by_name.values())
    return {f"{service.name}/{method.name}": method for service in services for method in service.methods}


def fields(
    descriptor: Descriptor, harmless: frozenset[str] = frozenset(), before: str = ""
) -> Iterator[tuple[str, str]]:
    """Each field below a message: its path, list places left out, and its name as the contract has it."""
    for field in descriptor.fields:
        name = field.full_name.removeprefix(f"{PACKAGE}.")
        path = f"{before}{field.name}"
        target = field.message_type
        if target is not None and target.GetOptions().map_entry:
            target = None
        if target is not None and target.full_name.startswith("baton.") and target.fields and name not in harmless:
            yield from fields(target, harmless, f"{path}.")
        else:
            yield path, name


def plain(path: str) -> str:
    """A violation's path without the places in lists and the keys of maps."""
    return re.sub(r"\[.*?\](?=\.|$)", "", path, flags=re.DOTALL)
