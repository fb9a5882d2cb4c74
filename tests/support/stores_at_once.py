"""Several stores on one database, each as a node has it, doing things at the same moment."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import sqlalchemy as sa
from psycopg import errors

from queue_service.storage.postgresql_nodes import Membership
from queue_service.storage.postgresql_sharing import SharedPostgresql
from queue_service.storage.sql import SqlStore
from tests.support.broker_store import BrokerStore

R = TypeVar("R")


class StoreOfNode(SqlStore):
    """The store of a node that has joined; its heart does not beat, and nobody takes it for dead."""

    sharing: SharedPostgresql

    def __init__(self, url: str, *, keeps_time: bool = False) -> None:
        super().__init__(url, keeps_time=keeps_time)
        self.membership = Membership(self.sharing.engine, f"test {id(self)}")
        self.sharing.node = self.membership.join()

    def close(self) -> None:
        self.membership.close()
        super().close()


@contextmanager
def nodes(url: str, count: int, *, keeps_time: bool = False) -> Iterator[list[BrokerStore]]:
    """So many nodes, with the queues of `BrokerStore` made once."""
    stores = [StoreOfNode(url, keeps_time=keeps_time) for _ in range(count)]
    try:
        yield [BrokerStore(store) for store in stores]
    finally:
        for store in stores:
            store.close()


def at_once(*works: Callable[[], R]) -> list[R]:
    """What each of these returns, begun at the same moment in threads of their own; what one raises is raised."""
    begun = threading.Barrier(len(works))
    results: dict[int, R] = {}
    failed: list[BaseException] = []

    def run(number: int, work: Callable[[], R]) -> None:
        begun.wait()
        try:
            results[number] = work()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=each) for each in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return [results[number] for number in range(len(works))]


@contextmanager
def deadlocks(stores: Sequence[BrokerStore], every: int) -> Iterator[list[int]]:
    """Within the block each ``every``-th statement of each store meets a deadlock; how many did, one by one."""
    met: list[int] = []
    engines = [store.store.sharing.engine for store in stores]  # type: ignore[attr-defined]
    counts = [0] * len(engines)

    def counting(number: int) -> Callable[..., None]:
        def before(*_: Any) -> None:
            counts[number] += 1
            if counts[number] % every == 0:
                met.append(number)
                raise errors.DeadlockDetected("planted")

        return before

    listeners = [counting(number) for number in range(len(engines))]
    for engine, listener in zip(engines, listeners, strict=True):
        sa.event.listen(engine, "before_cursor_execute", listener)
    try:
        yield met
    finally:
        for engine, listener in zip(engines, listeners, strict=True):
            sa.event.remove(engine, "before_cursor_execute", listener)
