"""The threads of a prefetcher."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from tap_jetti.errors import Interrupted, SettingsError, StoreError
from tap_jetti.reading.prefetch.scheduler import Stopped

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from tap_jetti.client.clock import Clock

JOIN_SECONDS = 0.8
"""How long `Workers.join` waits for all threads together."""


class Workers:
    """Runs work in threads of its own, and knows how many are at it.

    Args:
        changed: Notified when one ends; held to start one.
        clock: What the wait for their end is measured by.
        logger: Where unexpected ends are reported.
        ended: Called in a thread when its work is over.
    """

    def __init__(
        self,
        changed: threading.Condition,
        *,
        clock: Clock,
        logger: logging.Logger,
        ended: Callable[[], None],
    ) -> None:
        self._changed = changed
        self._clock = clock
        self._logger = logger
        self._ended = ended
        self._threads: set[threading.Thread] = set()

    def __len__(self) -> int:
        """How many threads there are."""
        return len(self._threads)

    def start(self, work: Callable[[], None]) -> None:
        """Run something in a thread. With `changed` held.

        Raises:
            SettingsError: This machine starts no more threads.
        """
        thread = threading.Thread(target=lambda: self._run(work, thread), name="jetti-prefetch", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise SettingsError(f"Prefetching failed: {error}. Set concurrency to 1.") from error
        self._threads.add(thread)

    def join(self) -> None:
        """Wait for all threads to end, for less than a second."""
        with self._changed:
            threads = list(self._threads)
        give_up = self._clock.monotonic() + JOIN_SECONDS
        for thread in threads:
            thread.join(max(0.0, give_up - self._clock.monotonic()))

    def _run(self, work: Callable[[], None], thread: threading.Thread) -> None:
        try:
            work()
        except (Stopped, Interrupted):
            pass
        except Exception as error:  # noqa: BLE001 - the reader asks, and fails, itself
            self._logger.debug("Prefetching ended: %r", error)
        finally:
            with self._changed:
                self._threads.discard(thread)
                self._changed.notify_all()
            with suppress(StoreError, SettingsError):  # raised where the reader needs it
                self._ended()
