"""BatchHandlerService: what the broker pushes, settled message by message so that a bad one spoils no neighbour."""

import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc

from baton.queue.v1 import batch_handler_service_pb2 as pb
from baton.queue.v1 import message_pb2
from baton.queue.v1.batch_handler_service_pb2_grpc import BatchHandlerServiceServicer
from mesh.errors import ResourceExhausted, Unavailable
from mesh.telemetry import get_logger
from signup_service.errors import BodyInvalid, QueueNotHandled, RegistrationNotFound
from signup_service.outcome import Outcome
from signup_service.outcome_message import from_dead_letter, from_report
from signup_service.queue_name import DEAD_CONFIRMATIONS, EMAIL_REPORTS
from signup_service.storage.threaded import ThreadedStore

log = get_logger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]
Reader = Callable[[message_pb2.QueueMessage], tuple[str, Outcome]]

_READERS: dict[str, Reader] = {EMAIL_REPORTS: from_report, DEAD_CONFIRMATIONS: from_dead_letter}


class BatchHandler(BatchHandlerServiceServicer):
    """Ties what became of an email to its runner."""

    def __init__(self, store: ThreadedStore) -> None:
        self._store = store

    async def DeliverBatch(
        self, request: pb.DeliverBatchRequest, context: Context
    ) -> AsyncIterator[pb.DeliverBatchResponse]:
        """Note every outcome in a batch, and answer each as soon as it is on disk."""
        read = _READERS.get(request.queue)
        if read is None:
            raise QueueNotHandled(request.queue)
        for leased in request.messages:
            settlement = await self._settle(read, leased.message)
            settlement.lease_id = leased.lease_id
            yield pb.DeliverBatchResponse(settlements=[settlement])

    async def _settle(self, read: Reader, message: message_pb2.QueueMessage) -> message_pb2.Settlement:
        try:
            registration = await self._store.note_outcome(*read(message))
        except BodyInvalid as error:
            return _reject(message, "BODY_INVALID", str(error))
        except RegistrationNotFound as error:
            return _reject(message, error.reason, error.message)
        except (ResourceExhausted, Unavailable) as error:
            return _retry(error)
        except Exception as error:  # whatever it is, the neighbours are not to blame
            return _unforeseen(message, error)
        log.info(
            "outcome noted",
            action="outcome_noted",
            registration_id=registration.registration_id,
            state=registration.confirmation.state.name.lower(),
        )
        return message_pb2.Settlement(ack=message_pb2.Ack())


def _reject(message: message_pb2.QueueMessage, code: str, why: str) -> message_pb2.Settlement:
    log.error("message rejected", action="message_rejected", message_id=message.message_id, code=code, why=why)
    return message_pb2.Settlement(reject=message_pb2.Reject(code=code, description=why))


def _retry(error: ResourceExhausted | Unavailable) -> message_pb2.Settlement:
    log.warning("message put off", action="message_put_off", code=error.reason)
    retry = message_pb2.Retry(code=error.reason, description=error.message)
    if error.retry_delay is not None:
        retry.delay.FromTimedelta(error.retry_delay)
    return message_pb2.Settlement(retry=retry)


def _unforeseen(message: message_pb2.QueueMessage, error: Exception) -> message_pb2.Settlement:
    error_id = uuid.uuid4().hex
    log.error(
        "a message failed in a way nobody foresaw",
        action="message_failed",
        message_id=message.message_id,
        error_id=error_id,
        exc_info=error,
    )
    description = f"internal error {error_id}; the service's log says more"
    return message_pb2.Settlement(retry=message_pb2.Retry(code="INTERNAL", description=description))
