"""Traces that come in, and traces that go out."""

from random import Random

import pytest

from signup_service.trace_context import Tracer, incoming_trace_id

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_call_belongs_to_the_trace_it_names() -> None:
    assert incoming_trace_id([("other", "x"), ("traceparent", f"00-{TRACE}-{SPAN}-01")]) == TRACE


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
    ],
)
def test_a_malformed_trace_is_none(value: str) -> None:
    assert incoming_trace_id([("traceparent", value)]) == ""


def test_each_step_of_a_trace_has_a_parent_of_its_own() -> None:
    tracer = Tracer(Random(7))
    trace_id = tracer.trace_id()

    first, second = tracer.parent(trace_id), tracer.parent(trace_id)

    assert first != second
    assert incoming_trace_id([("traceparent", first)]) == incoming_trace_id([("traceparent", second)]) == trace_id
