"""A thread that listens to what other nodes say."""

import threading
from collections.abc import Callable

import sqlalchemy as sa

from mesh.telemetry import get_logger
from queue_service.storage.postgresql_nodes import CHANNEL

log = get_logger(__name__)

#: Seconds between two looks at whether to go on, and before the next try to connect.
_LOOK, _PAUSE = 0.5, 0.5


class Listener:
    """Hears the channel of the nodes, over a connection of its own that is made again whenever it breaks.

    Args:
        engine: of the database.
        heard: told, on the listener's thread, what was said.
        connected: told, likewise, that from now on nothing is missed; before that, something may have been.
    """

    def __init__(self, engine: sa.Engine, heard: Callable[[str], None], connected: Callable[[], None]) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._heard, self._connected = heard, connected
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="news of other nodes", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no more; the thread ends within half a second. Safe twice."""
        self._stopped.set()

    def join(self) -> None:
        """Wait for its end."""
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._listen()
            except Exception as error:  # of whatever kind: the thread must outlive the connection
                log.warning("the news of other nodes are missed", action="news_missed", error=type(error).__name__)
                self._stopped.wait(_PAUSE)

    def _listen(self) -> None:
        with self._engine.connect() as connection:
            try:
                connection.exec_driver_sql(f"LISTEN {CHANNEL}")
                driver = connection.connection.driver_connection
                assert driver is not None
                self._connected()
                while not self._stopped.is_set():
                    for notice in driver.notifies(timeout=_LOOK):
                        self._heard(notice.payload)
                        if self._stopped.is_set():
                            break
            finally:
                connection.invalidate()
