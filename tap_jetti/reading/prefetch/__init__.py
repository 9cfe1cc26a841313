"""Several keyset readers at once, whose rows are handed over in order, as one reader would give them.

A reader of one resource asks one question after another, and waits for each answer. Where the
latency is longer than the limiter spaces requests, most of the limit is left unused. So the
questions that a reader is going to ask are asked ahead of it, by other readers in threads:

- *scouts* read the streams that follow, as far as there is room and until their reader comes. A scout
  is a reader of the same kind, and what it was answered is kept for that reader, question by question.
- *windows* split a long read. Each is read by a keyset reader, from where a probe has landed.

Invariants:

1.  Rows leave through one unchanged reader in the main thread, which decides all that matters:
    what comes next, what an end is, what is proven. It is only its questions that are answered
    from here, by what the server answered to the same question, or by rows held that it could
    have answered with (see `windows`). So rows, their order and bookmarks are
    those of a read without any of this, and whatever is not held is asked then and there.
2.  Nothing is asked ahead unless the limiter would idle: latency x rate above 1. Otherwise there is no
    further request, and no thread but one that waits for the first answer: if that keeps away for
    longer, the latency is known to be above. What is asked by then has no upper bound, and is cut.
3.  No request ahead delays the reader: slots go to the most urgent request (see `PriorityScheduler`), and
    at most `concurrency` are in flight.
4.  What is held, not decoded, takes at most `KEPT` places: 5,000 rows, or fewer if they are large, and
    32 MB. Beyond them there are only the page or two that the reader is waiting for, and what a page
    under way is larger by than any before it. A reader that has no room waits, unless the one in the
    main thread waits for it.
5.  A failure is raised when the reader asks the question that failed. One of a probe or a window
    is none: the reader asks for those rows itself.
6.  No thread outlives `close`, which cuts the requests in flight.
"""

from __future__ import annotations

from tap_jetti.reading.prefetch.prefetcher import KEPT, Prefetcher
from tap_jetti.reading.prefetch.stream_read import StreamRead

__all__ = ["KEPT", "Prefetcher", "StreamRead"]
