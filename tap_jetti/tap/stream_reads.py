"""How streams are read: the only place where the tap chooses and configures readers of `tap_jetti.reading`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_jetti.reading.keyset import EARLIEST, FullRead, IncrementalRead, all_by_id, all_from
from tap_jetti.reading.pages import Projection, ResourcePages
from tap_jetti.reading.prefetch import StreamRead

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from tap_jetti.reading.pages import Decode, PageReader, Reads
    from tap_jetti.tap.run_context import RunContext


def full_read(run: RunContext, resource: str, projection: Projection, *, logger: logging.Logger) -> StreamRead:
    """Read all rows of a resource, in the order of their ids.

    Args:
        run: The run.
        resource: The resource in snake_case.
        projection: The columns to request.
        logger: The logger of the stream.
    """

    def reader(pages: PageReader) -> FullRead:
        return FullRead(pages, verify_counts=run.settings["verify_counts"], logger=logger)

    return StreamRead(_pages_from(run, resource, projection, logger=logger), all_by_id(), reader)


def incremental_read(
    run: RunContext, resource: str, projection: Projection, *, start: str | None, logger: logging.Logger
) -> StreamRead:
    """Read the rows of a resource that were changed since a date, in the order of their `updatedAt`.

    Args:
        run: The run.
        resource: The resource in snake_case.
        projection: The columns to request.
        start: The earliest `updatedAt`. None: all rows.
        logger: The logger of the stream.
    """
    end = run.end_date

    def reader(pages: PageReader) -> IncrementalRead:
        return IncrementalRead(
            pages,
            start=start,
            end=end,
            bookmark_lag=run.settings["bookmark_lag"],
            verify_counts=run.settings["verify_counts"],
            clock=run.clock,
            logger=logger,
        )

    all_rows = all_from(start or EARLIEST, end)
    return StreamRead(_pages_from(run, resource, projection, logger=logger), all_rows, reader)


def _pages_from(
    run: RunContext, resource: str, projection: Projection, *, logger: logging.Logger
) -> Callable[[Reads, Decode | None], ResourcePages]:
    return lambda session, decode: ResourcePages(
        session,
        resource,
        page_size=run.settings["page_size"],
        projection=projection,
        profile=run.profile,
        logger=logger,
        decode=decode,
    )
