from typing import Any

import pytest

from baton_client import Batch, BodyError, Message
from baton_client.handler import handler_of


async def takes_a_message(message: Message[str]) -> None: ...
async def takes_a_batch(batch: Batch[bytes]) -> None: ...
async def takes_a_body(body: dict[str, int]) -> None: ...
async def says_nothing(message): ...  # type: ignore[no-untyped-def]  # a caller may leave it out
async def has_a_default(message: Message[str], retries: int = 3) -> None: ...


@pytest.mark.parametrize(
    ("function", "batched", "bare"),
    [
        (takes_a_message, False, False),
        (takes_a_batch, True, False),
        (takes_a_body, False, True),
        (says_nothing, False, False),
        (has_a_default, False, False),
    ],
)
def test_the_annotation_says_what_a_function_takes(function: Any, batched: bool, bare: bool) -> None:
    handler = handler_of(function)

    assert (handler.batched, handler.bare) == (batched, bare)


def plain(message: Message[str]) -> None: ...
async def takes_two(one: Message[str], other: int) -> None: ...
async def takes_none() -> None: ...


@pytest.mark.parametrize("function", [plain, takes_two, takes_none])
def test_what_is_no_handler_is_refused_when_it_is_decorated(function: Any) -> None:
    with pytest.raises(TypeError, match=f"{function.__name__} must be an async def"):
        handler_of(function)


async def takes_a_set(body: set[int]) -> None: ...


def test_a_body_that_cannot_be_is_refused_when_it_is_decorated() -> None:
    with pytest.raises(BodyError, match="set"):
        handler_of(takes_a_set)
