"""How streams are read: the only place where the tap chooses and configures readers of `tap_jetti.reading`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_jetti.reading.id_read import IdRead
from tap_jetti.reading.keyset import IncrementalRead
from tap_jetti.reading.pages import Projection, ResourcePages
from tap_jetti.reading.prefetch import StreamRead

if TYPE_CHECKING:
    import logging

    from tap_jetti.reading.page import Decode
    from tap_jetti.reading.pages import PageReader, Reads
    from tap_jetti.reading.resource_facts import ResourceFacts
    from tap_jetti.tap.run_context import RunContext


def full_read(
    run: RunContext, resource: str, projection: Projection, *, verify_counts: str, logger: logging.Logger
) -> StreamRead:
    """Read all rows of a resource, in the order of their ids.

    Args:
        run: The run.
        resource: The resource in snake_case.
        projection: The columns to request.
        verify_counts: When to ask the server's count, see `IdRead`.
        logger: The logger of the stream.
    """

    def pages_from(session: Reads, decode: Decode | None) -> ResourcePages:
        return ResourcePages(
            session, resource, projection=projection, profile=run.profile, logger=logger, decode=decode
        )

    def reader(pages: PageReader) -> IdRead:
        return IdRead(pages, verify_counts=verify_counts, logger=logger)

    return StreamRead(pages_from, reader, may_count=verify_counts != "never")


def incremental_read(
    run: RunContext, facts: ResourceFacts, projection: Projection, *, start: str | None, logger: logging.Logger
) -> StreamRead:
    """Read the rows of a resource that were changed since a date, in the order of their `updatedAt`.

    Args:
        run: The run.
        facts: What earlier runs have learnt of the resource. The reader adds to them.
        projection: The columns to request.
        start: The earliest `updatedAt`. None: all rows.
        logger: The logger of the stream.
    """

    def pages_from(session: Reads, decode: Decode | None) -> ResourcePages:
        return ResourcePages(
            session,
            facts.resource,
            projection=projection,
            profile=run.profile,
            facts=facts,
            logger=logger,
            decode=decode,
        )

    def reader(pages: PageReader) -> IncrementalRead:
        return IncrementalRead(
            pages,
            start=start,
            end=run.end_date,
            bookmark_lag=run.settings["bookmark_lag"],
            verify_counts=run.verify_counts,
            clock=run.clock,
            logger=logger,
        )

    return StreamRead(pages_from, reader, may_count=run.verify_counts != "never")
