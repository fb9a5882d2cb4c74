"""One of several broker processes on one database: its heartbeat, and what it makes of the others'."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from mesh.clock import SECOND, steady
from mesh.errors import BatonError
from mesh.task_set import TaskSet, begin_loop
from mesh.telemetry import get_logger
from queue_service.nodes.alone import Alone, Surroundings
from queue_service.nodes.database_clock import DatabaseClock
from queue_service.nodes.news import Gathering, News, heard
from queue_service.nodes.obituary import Obituary
from queue_service.nodes.picture import Note, Picture
from queue_service.nodes.shared_duties import SharedDuties
from queue_service.storage.postgresql_news import Listener
from queue_service.storage.postgresql_nodes import Membership
from queue_service.storage.postgresql_sharing import NotANode, SharedPostgresql

log = get_logger(__name__)

#: Seconds between two heartbeats, and in which news are gathered before they are said.
BEAT, GATHER = 1.0, 0.005
#: Seconds that a change of a queue waits for the other nodes at most; one that is silent goes by it later.
SPREAD = 2.0
#: Between two looks at whether a message waits beside somebody who waits for it, should news have been lost.
LOOK = 5 * SECOND
#: As many as there are: all who wait are to look.
ALL = 1 << 30


class Node(Alone):
    """A process among others.

    Args:
        membership: its row, its lock, and the others'.
        sharing: its transactions, which bear its number.
        clock: the database's time, measured with every heartbeat.
        silence: how long another's heartbeat stands still before it may be dead, in microseconds.
    """

    duties: SharedDuties

    def __init__(
        self, membership: Membership, sharing: SharedPostgresql, clock: DatabaseClock, *, silence: int = 4 * SECOND
    ) -> None:
        self._membership, self._sharing, self.clock = membership, sharing, clock
        self.duties = SharedDuties(self._hurry)
        self._obituary = Obituary(silence)
        self._due, self._speak, self._acknowledged = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._news = Gathering(self._speak.set)
        self._loop = asyncio.get_running_loop()
        self._listener = Listener(sharing.engine, self._on_heard, self._on_connected)
        self._using = asyncio.Lock()
        self._tasks, self._loops = TaskSet(), list[asyncio.Task[None]]()
        self._picture: Picture | None = None
        self._others: dict[int, int] = {}
        self._looked_at = 0
        self._leaving = self._left = False
        self._surroundings: Surroundings | None = None

    def join(self) -> None:
        """Become a node, and know the time; to be called before anything is read from the store."""
        self._sharing.node = self._membership.join()
        self._take_time(self._membership.beat(Note()))

    async def start(self, surroundings: Surroundings) -> None:
        """Begin the heartbeat, and listen."""
        self._surroundings = surroundings
        self._listener.start()
        await self._beat_safely()
        await self._say(News())  # whoever hears a stranger looks who there is
        self._loops = [begin_loop(self._beats(), "heartbeat"), begin_loop(self._speaks(), "news for other nodes")]

    def tell_ready(self, queue: str, at: int, count: int) -> None:
        """Tell others, if there are any, within a few milliseconds."""
        if self._others:
            self._news.ready(queue, at, count)

    async def spread(self, version: int) -> None:
        """Let the others go by a version; one that is silent finds out before it changes anything."""
        if not self._others:
            return
        self._news.version(version)
        with suppress(TimeoutError):
            async with asyncio.timeout(SPREAD):
                while any(known < version for known in self._others.values()):
                    self._acknowledged.clear()
                    await self._acknowledged.wait()

    def drain(self) -> None:
        """Take on no more duties."""
        self._leaving = True
        self.duties.stop()

    async def hand_over(self) -> None:
        """Give the duties up with a last word, so that others need not wait."""
        self.duties.ended()
        if self._loops:
            await self._beat_safely()

    async def leave(self) -> None:
        """Take the row away. Safe twice."""
        if self._left:
            return
        self._left = True
        self._listener.stop()
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        await self._tasks.cancel()
        await self.duties.close()
        async with self._using:
            try:
                await asyncio.to_thread(self._membership.leave)
            except BatonError as error:  # its lock goes with its connection, and the others see that
                log.warning("left without a word", action="node_not_struck_off", reason=error.reason)
            self._membership.close()
        await asyncio.to_thread(self._listener.join)

    async def _beats(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT):
                    await self._due.wait()
            self._due.clear()
            await self._beat_safely()

    async def _beat_safely(self) -> None:
        try:
            await self._beat_or_begin_anew()
        except BatonError as error:
            self._obituary.forget()  # while nobody's heartbeat can be seen, nobody is silent
            log.warning("no heartbeat", action="heartbeat_failed", reason=error.reason)
        except Exception as error:  # of whatever kind: a node without a heart is taken for dead
            log.error("a heartbeat failed", action="heartbeat_failed", exc_info=error)

    async def _beat_or_begin_anew(self) -> None:
        try:
            await self._beat()
        except NotANode:
            await self._begin_anew()

    async def _beat(self) -> None:
        around, me = self._around, self._membership.number
        nodes = {node.number for node in self._picture.nodes if node.fresh} if self._picture else {me}
        able = (
            {node.number for node in self._picture.nodes if node.fresh and not node.leaving} if self._picture else {me}
        )
        claims, releases = self.duties.wishes(self._picture.owners if self._picture else {}, able, me)
        waited_for = dict(around.waited_for()) if self._time_to_look() else {}
        note = Note(around.version(), self._leaving, claims, releases, frozenset(waited_for))
        begun = steady()
        async with self._using:
            picture = await asyncio.to_thread(self._membership.beat, note)
        self._take_time(picture)
        self._picture = picture
        self.duties.beaten(begun, picture.owners, me)
        self._take_in(picture, nodes)
        for number in picture.ready:
            around.ready(waited_for[number], 0, ALL)
        if picture.version != around.version():
            await around.refresh()
        await self._bury(picture)

    def _take_in(self, picture: Picture, before: set[int]) -> None:
        me, fresh = self._membership.number, {node.number for node in picture.nodes if node.fresh}
        self._others = {node.number: node.version for node in picture.nodes if node.fresh and node.number != me}
        self._acknowledged.set()
        self._around.share(max(1, len(fresh)))
        if before != fresh:
            log.info("the nodes changed", action="nodes_changed", me=me, nodes=sorted(fresh))
            self.look_again()

    async def _bury(self, picture: Picture) -> None:
        for number, seen_at in self._obituary.silent(picture, self._membership.number):
            async with self._using:
                buried = await asyncio.to_thread(self._membership.bury, number, seen_at)
            if buried:
                log.warning("a node is dead", action="node_dead", node=number)
                self.look_again()
                self._hurry()

    async def _begin_anew(self) -> None:
        """The others have given back what this node held: whoever it handed something to has to hear of it."""
        log.error("this node was taken for dead and begins anew", action="node_struck_off")
        self._around.begin_anew()
        await self.duties.end_all()
        self._picture = None
        async with self._using:
            self._sharing.node = await asyncio.to_thread(self._membership.join)
        self._hurry()

    def look_again(self) -> None:
        """Something may have been missed: let all who wait look, and end what is over."""
        if not self._left:
            self._tasks.begin(self._looks())

    async def _looks(self) -> None:
        try:
            await self._around.look()
        except BatonError as error:  # the next transaction that works makes up for it
            log.warning("not all queues were looked at", action="look_failed", reason=error.reason)

    async def _speaks(self) -> None:
        while True:
            await self._speak.wait()
            await asyncio.sleep(GATHER)
            self._speak.clear()
            if news := self._news.take():
                await self._say(news)

    async def _say(self, news: News) -> None:
        try:
            async with self._using:
                await asyncio.to_thread(self._membership.tell, news.words(self._membership.number))
        except BatonError as error:  # whoever waits looks again before long
            log.warning("other nodes were not told", action="news_not_told", reason=error.reason)

    def _on_heard(self, said: str) -> None:
        self._call(lambda: self._hear(said))

    def _on_connected(self) -> None:
        self._call(self.look_again)

    def _hear(self, said: str) -> None:
        speaker, news = heard(said)
        if speaker == self._membership.number or self._left:
            return
        if speaker not in self._others:
            self._hurry()
        for queue, (at, count) in news.ready.items():
            self._around.ready(queue, at, count)
        if news.at_version and speaker in self._others:
            self._others[speaker] = max(self._others[speaker], news.at_version)
            self._acknowledged.set()
        if news.version:
            self._tasks.begin(self._catch_up(news.version))

    async def _catch_up(self, version: int) -> None:
        with suppress(BatonError):  # the next transaction catches up
            if self._around.version() < version:
                await self._around.refresh()
            self._news.at_version(self._around.version())

    def _time_to_look(self) -> bool:
        if steady() - self._looked_at < LOOK:
            return False
        self._looked_at = steady()
        return True

    def _take_time(self, picture: Picture) -> None:
        self.clock.measured(picture.asked, picture.now, picture.answered)

    def _hurry(self) -> None:
        self._due.set()

    def _call(self, callback: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is there to hear
            self._loop.call_soon_threadsafe(callback)

    @property
    def _around(self) -> Surroundings:
        assert self._surroundings is not None, "not started"
        return self._surroundings
