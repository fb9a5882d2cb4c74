"""The outermost server interceptor: decodes, checks, calls the servicer, and turns what goes wrong into a status.

Requests reach it as bytes, so one that does not decode gets a proper answer too. No exception's text passes it.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import DecodeError, Message

from mesh import deadline
from mesh.errors import BatonError, InvalidArgument, Violation
from mesh.field_rules import FieldRules
from mesh.status import abort_arguments, domain_of, to_status
from mesh.telemetry import get_logger, request_id

REQUEST_ID_KEY = "x-request-id"
# A caller's request id goes into every log line, so its length is bounded.
MAX_REQUEST_ID = 128

log = get_logger(__name__)

if TYPE_CHECKING:  # at run time the class takes no parameters
    Handler = grpc.RpcMethodHandler[Any, Any]
else:
    Handler = grpc.RpcMethodHandler

Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]]
Context = grpc.aio.ServicerContext[Any, Any]


class GuardInterceptor(grpc.aio.ServerInterceptor):
    """Wraps every method once, and keeps the wrapped handler for the calls that follow."""

    def __init__(self, rules: FieldRules) -> None:
        self._rules = rules
        self._wrapped: dict[str, Handler] = {}

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        """The guarded handler of a method; None, which gRPC answers UNIMPLEMENTED, when there is none."""
        method: str = handler_call_details.method
        if (known := self._wrapped.get(method)) is not None:
            return known
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        wrapped = self._wrapped[method] = _Guarded(method, handler, self._rules).handler()
        return wrapped


class _Guarded:
    """One method behind the guard."""

    def __init__(self, method: str, handler: Handler, rules: FieldRules) -> None:
        self._method = method
        self._domain = domain_of(method)
        self._inner = handler
        # The stubs know the synchronous handlers only, one of which is set.
        self._behaviour: Any = (
            handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
        )
        self._decode_bytes: Callable[[bytes], Any] = handler.request_deserializer or (lambda raw: raw)
        self._check = rules.check

    def handler(self) -> Handler:
        inner = self._inner
        make: dict[tuple[bool, bool], Any] = {
            (False, False): (grpc.unary_unary_rpc_method_handler, self._unary_unary),
            (False, True): (grpc.unary_stream_rpc_method_handler, self._unary_stream),
            (True, False): (grpc.stream_unary_rpc_method_handler, self._stream_unary),
            (True, True): (grpc.stream_stream_rpc_method_handler, self._stream_stream),
        }
        factory, behaviour = make[inner.request_streaming, inner.response_streaming]
        handler: Handler = factory(behaviour, request_deserializer=None, response_serializer=inner.response_serializer)
        return handler

    def _decode(self, raw: bytes) -> Any:
        try:
            request = self._decode_bytes(raw)
        except (DecodeError, ValueError) as error:
            description = f"{len(raw)} bytes that are not this method's request message"
            raise InvalidArgument([Violation("request", description)]) from error
        if isinstance(request, Message):
            violations = self._check(request, len(raw))
            if violations:
                raise InvalidArgument(violations)
        return request

    async def _decode_each(self, raw: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        async for item in raw:
            yield self._decode(item)

    async def _unary_unary(self, raw: bytes, context: Context) -> Any:
        self._begin(context)
        try:
            return await self._behaviour(self._decode(raw), context)
        except Exception as error:  # whatever it is, it must not leave as text
            del raw  # gRPC keeps the frames of a refused call until the garbage collector comes by
            await self._refuse(error, context)

    async def _stream_unary(self, raw: AsyncIterator[bytes], context: Context) -> Any:
        self._begin(context)
        try:
            return await self._behaviour(self._decode_each(raw), context)
        except Exception as error:  # likewise
            await self._refuse(error, context)

    async def _unary_stream(self, raw: bytes, context: Context) -> AsyncIterator[Any]:
        self._begin(context)
        try:
            async for response in _responses(self._behaviour(self._decode(raw), context)):
                yield response
        except Exception as error:  # likewise
            del raw
            await self._refuse(error, context)

    async def _stream_stream(self, raw: AsyncIterator[bytes], context: Context) -> AsyncIterator[Any]:
        self._begin(context)
        try:
            async for response in _responses(self._behaviour(self._decode_each(raw), context)):
                yield response
        except Exception as error:  # likewise
            await self._refuse(error, context)

    def _begin(self, context: Context) -> None:
        deadline.note(context.time_remaining())
        request_id.set(_request_id_of(context.invocation_metadata() or ()))
        context.set_trailing_metadata(((REQUEST_ID_KEY, request_id.get()),))

    async def _refuse(self, error: Exception, context: Context) -> None:
        if isinstance(error, grpc.aio.AbortError):
            raise error
        met = error
        if not isinstance(error, BatonError):
            error = self._unforeseen(error)
        elif error.code in {"UNAVAILABLE", "INTERNAL"}:
            log.warning("call refused", action="call_refused", method=self._method, reason=error.reason)
        else:
            log.info("call refused", action="call_refused", method=self._method, reason=error.reason)
        trailers: list[tuple[str, str]] = [(REQUEST_ID_KEY, request_id.get())]
        if getattr(error, "retry_delay", None) is not None:
            # RetryInfo says when to come back; a transparent retry by the caller's library would come sooner.
            trailers.append(("grpc-retry-pushback-ms", "-1"))
        status = abort_arguments(to_status(error, self._domain))
        _forget_frames(met)
        await context.abort(status.code, status.details, (*trailers, *status.trailing_metadata))

    def _unforeseen(self, error: Exception) -> BatonError:
        error_id = uuid.uuid4().hex
        log.error(
            "call failed in a way nobody foresaw",
            action="call_failed",
            method=self._method,
            error_id=error_id,
            exc_info=error,
        )
        return BatonError(
            "INTERNAL",
            f"internal error {error_id}; the service's log says more",
            metadata={"error_id": error_id},
        )


async def _responses(result: AsyncIterator[Any] | Awaitable[None] | Iterable[Any]) -> AsyncIterator[Any]:
    """The responses of a streaming behaviour, be it an asynchronous generator or one that writes to its context."""
    if isinstance(result, AsyncIterator):
        async for response in result:
            yield response
    elif asyncio.iscoroutine(result):
        await result


def _forget_frames(error: BaseException | None) -> None:
    """Let go of what the frames hold that an error passed: megabytes, when a large send is refused."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def _request_id_of(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    for key, value in metadata:
        if key == REQUEST_ID_KEY and value and isinstance(value, str) and value.isascii() and value.isprintable():
            return value[:MAX_REQUEST_ID]
    return uuid.uuid4().hex
