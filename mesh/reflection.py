"""Server reflection in both versions: grpcio-reflection ships v1alpha only (grpc/grpc#38576), newer tools ask for v1.

The two protocols differ in their package name alone, so the same servicer answers both.
"""

from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf import descriptor_pool, text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.rpc import error_details_pb2  # noqa: F401  # so that error details can be described to a caller
from grpc_reflection.v1alpha import reflection, reflection_pb2

V1 = "grpc.reflection.v1.ServerReflection"


def add_reflection(server: grpc.aio.Server, services: Sequence[str]) -> None:
    """Let callers ask ``server`` what it serves: ``services``, by full name, and reflection itself."""
    _describe_v1()
    names = (*services, reflection.SERVICE_NAME, V1)
    pool = _MethodsToo(descriptor_pool.Default())
    reflection.enable_server_reflection(names, server, pool)
    servicer = reflection.aio.ReflectionServicer(names, pool)
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(V1, {"ServerReflectionInfo": handler}),))


class _MethodsToo:
    """A descriptor pool that finds methods by their full names, as the protocol asks for; protobuf's own does not."""

    def __init__(self, pool: descriptor_pool.DescriptorPool) -> None:
        self._pool = pool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def FindFileContainingSymbol(self, symbol: str) -> Any:
        """The file of a message, an enum, a service, or a method; raises KeyError."""
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            service, _, method = symbol.rpartition(".")
            found = self._pool.FindServiceByName(service)
            return found.methods_by_name[method].containing_service.file


def _describe_v1() -> None:
    """Add the newer protocol to what can be described: a client that asks for everything asks for it too."""
    old = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(old)
    text = text_format.MessageToString(old).replace("v1alpha", "v1")
    new = text_format.Parse(text, FileDescriptorProto())
    descriptor_pool.Default().AddSerializedFile(new.SerializeToString())
