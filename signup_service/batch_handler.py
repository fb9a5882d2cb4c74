"""BatchHandlerService: what the broker pushes, settled message by message so that a bad one spoils no neighbour."""

import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import grpc

from baton.queue.v1 import batch_handler_service_pb2 as pb
from baton.queue.v1 import message_pb2
from baton.queue.v1.batch_handler_service_pb2_grpc import BatchHandlerServiceServicer
from mesh.errors import ResourceExhausted, Unavailable
from mesh.telemetry import get_logger
from signup_service.errors import BodyInvalid, QueueNotHandled, RegistrationNotFound
from signup_service.outcome import News
from signup_service.outcome_message import from_dead_letter, from_report
from signup_service.queue_name import DEAD_CONFIRMATIONS, EMAIL_REPORTS
from signup_service.registration import Registration
from signup_service.storage.threaded import ThreadedStore

log = get_logger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]
Reader = Callable[[message_pb2.QueueMessage], News]

_READERS: dict[str, Reader] = {EMAIL_REPORTS: from_report, DEAD_CONFIRMATIONS: from_dead_letter}


class BatchHandler(BatchHandlerServiceServicer):
    """Ties what became of an email to its runner."""

    def __init__(self, store: ThreadedStore) -> None:
        self._store = store

    async def DeliverBatch(
        self, request: pb.DeliverBatchRequest, context: Context
    ) -> AsyncIterator[pb.DeliverBatchResponse]:
        """Note every outcome in a batch in one commit, and answer when it is on disk."""
        read = _READERS.get(request.queue)
        if read is None:
            raise QueueNotHandled(request.queue)
        settlements: list[message_pb2.Settlement] = []
        readable: list[tuple[message_pb2.LeasedMessage, News]] = []
        for leased in request.messages:
            try:
                readable.append((leased, read(leased.message)))
            except BodyInvalid as error:
                settlements.append(_reject(leased, "BODY_INVALID", str(error)))
        yield pb.DeliverBatchResponse(settlements=[*settlements, *await self._note(readable)])

    async def _note(
        self, readable: Sequence[tuple[message_pb2.LeasedMessage, News]]
    ) -> Sequence[message_pb2.Settlement]:
        try:
            noted = await self._store.note_outcomes([news for _, news in readable])
        except (ResourceExhausted, Unavailable) as error:
            return [_retry(leased, error) for leased, _ in readable]
        except Exception as error:  # whatever it is, the neighbours are not to blame
            if len(readable) > 1:
                return [settlement for one in readable for settlement in await self._note([one])]
            return [_unforeseen(leased, error) for leased, _ in readable]
        return [_settlement(leased, found) for (leased, _), found in zip(readable, noted, strict=True)]


def _settlement(
    leased: message_pb2.LeasedMessage, found: Registration | RegistrationNotFound
) -> message_pb2.Settlement:
    if isinstance(found, RegistrationNotFound):
        return _reject(leased, found.reason, found.message)
    log.info(
        "outcome noted",
        action="outcome_noted",
        registration_id=found.registration_id,
        state=found.confirmation.state.name.lower(),
    )
    return message_pb2.Settlement(lease_id=leased.lease_id, ack=message_pb2.Ack())


def _reject(leased: message_pb2.LeasedMessage, code: str, why: str) -> message_pb2.Settlement:
    message_id = leased.message.message_id
    log.error("message rejected", action="message_rejected", message_id=message_id, code=code, why=why)
    return message_pb2.Settlement(lease_id=leased.lease_id, reject=message_pb2.Reject(code=code, description=why))


def _retry(leased: message_pb2.LeasedMessage, error: ResourceExhausted | Unavailable) -> message_pb2.Settlement:
    log.warning("message put off", action="message_put_off", code=error.reason)
    retry = message_pb2.Retry(code=error.reason, description=error.message)
    if error.retry_delay is not None:
        retry.delay.FromTimedelta(error.retry_delay)
    return message_pb2.Settlement(lease_id=leased.lease_id, retry=retry)


def _unforeseen(leased: message_pb2.LeasedMessage, error: Exception) -> message_pb2.Settlement:
    error_id = uuid.uuid4().hex
    log.error(
        "a message failed in a way nobody foresaw",
        action="message_failed",
        message_id=leased.message.message_id,
        error_id=error_id,
        exc_info=error,
    )
    description = f"internal error {error_id}; the service's log says more"
    retry = message_pb2.Retry(code="INTERNAL", description=description)
    return message_pb2.Settlement(lease_id=leased.lease_id, retry=retry)
