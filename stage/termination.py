"""Programs that start others: whatever ends them, they stop what they started."""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any


def run(main: Coroutine[Any, Any, int]) -> int:
    """Run to the end; its exit code, or 1 after Ctrl-C, SIGTERM, or when nobody reads any more what it says."""
    try:
        return asyncio.run(_cancelled_by_sigterm(main))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 1
    except BrokenPipeError:
        # What is still in the buffer must not raise once more when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


async def _cancelled_by_sigterm(main: Coroutine[Any, Any, int]) -> int:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await main
