"""The one hop from the event loop to the store: a thread that makes every call to it, one after the other."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class StoreThread:
    """A single thread; it starts with the first call.

    A verb that began is carried through even when whoever awaits it is cancelled.
    """

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def run(self, verb: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a verb of the store over there."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, lambda: verb(*args, **kwargs))

    def close(self) -> None:
        """Wait for the calls that were made, and end."""
        self._executor.shutdown()
