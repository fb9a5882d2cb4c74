"""The retry policies beside the contracts say what the contracts say."""

import json
from typing import Any

import pytest
from google.protobuf import descriptor_pb2 as pb

from tests.support.tool import ROOT

PACKAGES = ["queue", "email", "signup", "mesh"]
Method = tuple[str, str]


def config(package: str) -> dict[str, Any]:
    path = ROOT / "protos" / "baton" / package / "v1" / "service_config.json"
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def named(package: str) -> list[Method]:
    return [(name["service"], name["method"]) for entry in config(package)["methodConfig"] for name in entry["name"]]


def idempotent(files: pb.FileDescriptorSet, package: str) -> set[Method]:
    return {
        (f"{file.package}.{service.name}", method.name)
        for file in files.file
        if file.package == f"baton.{package}.v1"
        for service in file.service
        for method in service.method
        if method.options.idempotency_level != pb.MethodOptions.IDEMPOTENCY_UNKNOWN
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_exactly_the_methods_that_are_safe_to_repeat_are_repeated(
    described: pb.FileDescriptorSet, package: str
) -> None:
    methods = named(package)

    assert set(methods) == idempotent(described, package)
    assert len(methods) == len(set(methods))


@pytest.mark.parametrize("package", PACKAGES)
def test_a_policy_repeats_only_what_is_unavailable_and_sets_no_timeout(package: str) -> None:
    for entry in config(package)["methodConfig"]:
        policy = entry["retryPolicy"]

        assert entry.keys() == {"name", "retryPolicy"}  # a timeout would fire early and never reach the server
        assert policy["retryableStatusCodes"] == ["UNAVAILABLE"]
        assert 2 <= policy["maxAttempts"] <= 5
    assert config(package)["retryThrottling"] == {"maxTokens": 10, "tokenRatio": 0.1}


def test_what_stores_something_new_is_never_repeated_blindly() -> None:
    methods = {method for package in PACKAGES for _, method in named(package)}

    assert methods.isdisjoint({"SendMessage", "SendMessages", "StreamSendMessages", "PullMessages", "Register"})
