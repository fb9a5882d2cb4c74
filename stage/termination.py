"""Programs that start others: whatever ends them, they stop what they started."""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine, Sequence
from typing import Any


def run(main: Coroutine[Any, Any, int]) -> int:
    """Run to the end; its exit code, or 1 after Ctrl-C, an ending, or when nobody reads any more what it says."""
    try:
        return asyncio.run(_cancelled_by_endings(main))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 1
    except BrokenPipeError:
        # What is still in the buffer must not raise once more when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def endings() -> Sequence[signal.Signals]:
    """What ends a program: SIGTERM, and the end of its terminal unless it is to outlive that, as with nohup."""
    outlives = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (signal.SIGTERM,) if outlives else (signal.SIGTERM, signal.SIGHUP)


async def _cancelled_by_endings(main: Coroutine[Any, Any, int]) -> int:
    task = asyncio.current_task()
    assert task is not None
    for signum in endings():
        asyncio.get_running_loop().add_signal_handler(signum, task.cancel)
    return await main
