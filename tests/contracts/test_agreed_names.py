"""Every name and number that was agreed is still there, in what Python code imports today."""

from collections.abc import Iterator
from importlib import import_module

import pytest
from google.protobuf import descriptor_pb2 as pb
from google.protobuf import descriptor_pool

from mesh.field_rules import FieldRules
from tests.support.tool import contract_files

Names = dict[str, str]


@pytest.fixture(scope="module")
def live() -> Names:
    """What the generated modules put into the descriptor pool."""
    FieldRules(["queue", "email", "signup", "mesh"])  # which imports the modules
    files = pb.FileDescriptorSet()
    for name in contract_files():
        import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2")
        descriptor_pool.Default().FindFileByName(name).CopyToProto(files.file.add())
    return dict(names(files))


def names(files: pb.FileDescriptorSet) -> Iterator[tuple[str, str]]:
    """Every element by its full name, with what a caller relies on: number, type, or request and response."""
    for file in files.file:
        if not file.package.startswith("baton."):
            continue
        yield file.package, "package"
        for service in file.service:
            yield f"{file.package}.{service.name}", "service"
            for method in service.method:
                streams = (method.client_streaming, method.server_streaming)
                yield (
                    f"{file.package}.{service.name}.{method.name}",
                    f"{method.input_type} {method.output_type} {streams}",
                )
        for message in file.message_type:
            yield from of_message(message, file.package)
        for enum in file.enum_type:
            yield from of_enum(enum, file.package)


def of_message(message: pb.DescriptorProto, prefix: str) -> Iterator[tuple[str, str]]:
    name = f"{prefix}.{message.name}"
    yield name, "message"
    for field in message.field:
        oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else ""
        yield f"{name}.{field.name}", f"{field.number} {field.label} {field.type} {field.type_name} {oneof}"
    for nested in message.nested_type:
        yield from of_message(nested, name)
    for enum in message.enum_type:
        yield from of_enum(enum, name)


def of_enum(enum: pb.EnumDescriptorProto, prefix: str) -> Iterator[tuple[str, str]]:
    for value in enum.value:
        yield f"{prefix}.{enum.name}.{value.name}", str(value.number)


def test_all_that_was_agreed_is_still_there(released: pb.FileDescriptorSet, live: Names) -> None:
    agreed = dict(names(released))

    changed = {name: (what, live.get(name)) for name, what in agreed.items() if live.get(name) != what}

    assert len(agreed) > 300
    assert changed == {}


@pytest.mark.parametrize(
    "name",
    [
        "baton.queue.v1.ProducerService.SendMessages",
        "baton.queue.v1.ConsumerService.PullMessages",
        "baton.queue.v1.BatchHandlerService.DeliverBatch",
        "baton.queue.v1.QueueMessage.typed",
        "baton.email.v1.EmailService.SendEmail",
        "baton.signup.v1.SignupService.Register",
    ],
)
def test_the_heart_of_it_is_there(live: Names, name: str) -> None:
    assert name in live


def test_a_name_that_went_would_be_found(released: pb.FileDescriptorSet) -> None:
    file = pb.FileDescriptorSet()
    file.CopyFrom(released)
    del next(one for one in file.file if one.service).service[0].method[0]

    assert len(dict(names(file))) == len(dict(names(released))) - 1
