"""Several readers at once, whose rows are handed over in order, as one reader would give them.

A reader of one resource asks one question after another, and waits for each response. Where the latency is longer than
the limiter spaces requests, most of the limit is left unused. So threads read ahead:

- *streams* that follow. A thread advances the stream's own reader into a queue; when its turn comes, the main thread
  takes what is queued and goes on with the same reader (`stream_ahead`). Nothing is asked twice.
- *windows* of the stream whose rows leave. Each is read by a reader of its own, from where a probe has landed; the
  stream's reader is given pages put together of the rows held (`windows`).

Invariants:

1.  Rows leave through the stream's one reader, which decides all that matters: what comes next, what an end is, what is
    proven. A page put together of held rows is one that the server could have given after the count that it pays for:
    when a count is asked, what is held is given up. So rows, their order and bookmarks are those of a serial read.
2.  Nothing is read ahead unless the limiter would idle: latency x rate above 1. Otherwise there is no further request,
    and no thread but one that waits for the first response: if that is late, the latency is known to be above.
3.  No request ahead delays the reader: permits go to the most urgent request (`PriorityScheduler`), and at most
    `concurrency` are in flight.
4.  What is held, not decoded, takes at most `PLACES` places: 5,000 rows, or fewer if they are large, and 32 MB. Beyond
    them there are only the page or two that the reader waits for, and what a page under way is larger by than any
    before it. A reader that has no room waits, unless the main thread waits for it.
5.  A failure is raised when all pages before it were given. One of a probe or a window is none: the reader asks for
    those rows itself.
6.  No thread outlives `close`, which cuts the requests in flight.
"""

from __future__ import annotations

from tap_jetti.reading.prefetch.prefetcher import Prefetcher
from tap_jetti.reading.prefetch.stream_read import StreamRead

__all__ = ["Prefetcher", "StreamRead"]
