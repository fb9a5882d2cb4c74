"""Outgoing calls: one way to open a channel, with deadlines, retries and a keepalive that works.

Per-method timeouts of a service config fire early and never reach the server (grpc/grpc#34547, #40633), so the deadline
is set on each call by an interceptor. Keepalive acts only with all of its three options (``ping_timeout_ms`` too).
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from importlib.resources import files
from typing import Any

import grpc

from mesh import deadline
from mesh.guard import REQUEST_ID_KEY
from mesh.telemetry import request_id

# Seconds a unary call may take when its caller sets no timeout.
DEFAULT_TIMEOUT = 5.0
# Bytes of one message received; the contract's largest answer is 3 MiB and some framing.
MAX_MESSAGE_BYTES = 8 * 1024 * 1024

OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.enable_http_proxy", 0),
)


#: What differs towards a server that is not ours: by default every gRPC server hangs up on who pings it more often than
#: once in five minutes, or while no call is under way (https://github.com/grpc/proposal/blob/master/A8-client-side-keepalive.md).
FOREIGN_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.keepalive_time_ms", 310_000),
    ("grpc.keepalive_permit_without_calls", 0),
)


def open_channel(
    target: str, *, packages: Sequence[str] = (), timeout: float = DEFAULT_TIMEOUT, foreign: bool = False
) -> grpc.aio.Channel:
    """A channel to ``target`` with the retry policies that the contracts in ``packages`` ship.

    Args:
        target: a gRPC target, such as ``127.0.0.1:50052`` or ``unix:/run/baton/email.sock``.
        packages: contracts whose ``service_config.json`` applies, such as ``queue``.
        timeout: seconds for a unary call that sets none; a call being served bounds it further.
        foreign: the server may be anybody's: ping it no more than any server stands, and use no address whose health
            service says that it does not serve; one without a health service serves.
    """
    config = json.dumps(service_config(packages, healthy_only=foreign))
    own = dict(OPTIONS) | (dict(FOREIGN_OPTIONS) if foreign else {})
    options = (*own.items(), ("grpc.service_config", config))
    interceptors = [_UnaryInterceptor(timeout), _ResponseStreamInterceptor()]
    return grpc.aio.insecure_channel(target, options=options, interceptors=interceptors)


def service_config(packages: Sequence[str], *, healthy_only: bool = False) -> dict[str, Any]:
    """The contracts' service configs as one, with calls spread over every address of a target."""
    merged: dict[str, Any] = {"loadBalancingConfig": [{"round_robin": {}}], "methodConfig": []}
    if healthy_only:
        # The health of the whole server: it may well not know the service by the name that it is called by.
        merged["healthCheckConfig"] = {"serviceName": ""}
    for package in packages:
        text = files("baton").joinpath(package, "v1", "service_config.json").read_text(encoding="utf-8")
        config = json.loads(text)
        merged["methodConfig"] += config["methodConfig"]
        merged["retryThrottling"] = config["retryThrottling"]
    return merged


def _prepared(details: grpc.aio.ClientCallDetails, default: float | None) -> grpc.aio.ClientCallDetails:
    own = default if details.timeout is None else details.timeout
    metadata = grpc.aio.Metadata() if details.metadata is None else grpc.aio.Metadata(*details.metadata)
    if (current := request_id.get()) and metadata.get(REQUEST_ID_KEY) is None:
        metadata.add(REQUEST_ID_KEY, current)
    return grpc.aio.ClientCallDetails(
        method=details.method,
        timeout=deadline.bounded(own),
        metadata=metadata,
        credentials=details.credentials,
        wait_for_ready=details.wait_for_ready,
    )


class _UnaryInterceptor(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, timeout: float) -> None:
        self._timeout = timeout

    async def intercept_unary_unary(
        self,
        continuation: Callable[[grpc.aio.ClientCallDetails, Any], Awaitable[Any]],
        client_call_details: grpc.aio.ClientCallDetails,
        request: Any,
    ) -> Any:
        return await continuation(_prepared(client_call_details, self._timeout), request)


class _ResponseStreamInterceptor(grpc.aio.UnaryStreamClientInterceptor):
    """A stream has no timeout of its own: how long it may live is its contract's business."""

    async def intercept_unary_stream(
        self,
        continuation: Callable[[grpc.aio.ClientCallDetails, Any], Awaitable[Any]],
        client_call_details: grpc.aio.ClientCallDetails,
        request: Any,
    ) -> Any:
        return await continuation(_prepared(client_call_details, None), request)
