"""Reads an inventory feed from Jetti for the mirror, and looks single rows up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tap_jetti.client.query import encode, select
from tap_jetti.errors import ClientError, NotFoundError, ServerError
from tap_jetti.facts.resources import PRIMARY_KEY, REPLICATION_KEY, api_name
from tap_jetti.facts.timestamps import from_epoch, to_epoch
from tap_jetti.reading.id_read import IdRead
from tap_jetti.reading.keyset import IncrementalRead
from tap_jetti.reading.page import MalformedPageError, decode_objects
from tap_jetti.reading.page_limit import FIRST_LIMIT
from tap_jetti.reading.pages import LONGEST_QUERY, KeyRange, Projection, ResourcePages
from tap_jetti.reading.resource_facts import BOOKMARK_KEY, ResourceFacts
from tap_jetti.target.delivery.ledger.mirror import ShownRow
from tap_jetti.target.delivery.ledger.values import key_hash, short_form
from tap_jetti.target.fields import OWN_FIELDS, kinds

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tap_jetti.client.clock import Clock
    from tap_jetti.client.session import JettiSession
    from tap_jetti.reading.server_profile import ServerProfile
    from tap_jetti.target.delivery.ledger.mirror import FeedState
    from tap_jetti.target.delivery.operations import Comparison

KEYS_PER_LOOKUP = 100
"""Keys in one look-up: a page of rows."""

CLOCK_MARGIN = 2.0
"""Seconds by which the server's clock may be ahead of what its last ``Date`` told."""


class RowForm:
    """How rows of a resource are remembered.

    Args:
        comparison: Which rows, and what identifies them.

    Attributes:
        fields: The names of the fields, in the order of their numbers.
        kinds: The kind of each field.
    """

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison
        self.kinds = kinds(comparison.resource)
        own = OWN_FIELDS | {comparison.parent_field, comparison.key_field}
        self.fields = tuple(name for name in self.kinds if name not in own)
        self.numbers = {name: number for number, name in enumerate(self.fields)}
        self._forms = tuple((number, name, self.kinds[name]) for name, number in self.numbers.items())

    def key_of(self, feed: int, value: object) -> int:
        """Return the hash of a row's key."""
        return key_hash(self.comparison.resource, feed, self.comparison.key_field, str(value))

    def shown(self, feed: int | None, row: Mapping[str, Any]) -> ShownRow | None:
        """Return a row as it is remembered; None if it is of another feed. Without a feed it has no key."""
        parent = row.get(self.comparison.parent_field)
        if feed is not None and parent is not None and str(parent) != str(feed):
            return None  # a server that ignores the filter must not pass it for a row of this feed
        key, updated = row.get(self.comparison.key_field), row.get(REPLICATION_KEY)
        values = {
            number: short_form(kind, value)
            for number, name, kind in self._forms
            if (value := row.get(name)) is not None
        }
        return ShownRow(
            row[PRIMARY_KEY],
            None if key is None or feed is None else self.key_of(feed, key),
            0 if updated is None else milliseconds(updated),
            values,
        )


class JettiFeedReader:
    """Reads one feed, see `FeedReader`, and looks up rows of it.

    Args:
        session: Sends requests.
        form: How rows are remembered.
        feed: The feed; None to look up rows of any feed by their ids.
        clock: For the time.
        profile: What was learnt about the server.
        logger: For messages.
    """

    def __init__(
        self,
        session: JettiSession,
        form: RowForm,
        feed: int | None,
        *,
        clock: Clock,
        profile: ServerProfile,
        logger: logging.Logger,
    ) -> None:
        self._session = session
        self._form = form
        self._feed = feed
        self._clock = clock
        self._profile = profile
        self._logger = logger
        self._resource = form.comparison.resource
        self._where = {} if feed is None else {form.comparison.parent_field: feed}
        self._can_look_up = True
        self._largest = 0

    @property
    def page_rows(self) -> int:
        """The rows of a page, as far as is known."""
        return max(FIRST_LIMIT, self._largest)

    def now(self) -> int:
        """Return the server's clock, see `server_time`."""
        return server_time(self._session, self._clock)

    def walk(self, state: FeedState, since: int) -> Iterator[Sequence[ShownRow]]:
        """Read all rows changed at an instant or later."""
        facts = ResourceFacts.from_bookmark(self._resource, {BOOKMARK_KEY: json.loads(state.facts or "null")})
        facts.note_ids(None)  # rows of the first instant must come again: those that do not are gone
        source = self._pages(facts)
        read = IncrementalRead(
            source,
            start=from_epoch(since / 1000),
            end=None,
            bookmark_lag=state.lag / 1000,
            verify_counts="always",
            clock=self._clock,
            logger=self._logger,
        )
        for page in read.pages():
            yield self._shown(page)
        state.facts = json.dumps(facts.to_bookmark(is_all_written=False))
        self._largest = facts.largest

    def by_id(self, first_id: int) -> Iterator[Sequence[ShownRow]]:
        """Read all rows from an id on."""
        source = self._pages()
        for page in IdRead(source, verify_counts="auto", logger=self._logger, first_id=first_id).pages():
            yield self._shown(page)

    def count(self, upto: int, *, beyond: int = 0) -> int | None:
        """Return how many rows have an id in a range."""
        return self._pages().count(KeyRange(PRIMARY_KEY, beyond + 1, upto))

    def count_since(self, since: int | None) -> int | None:
        """Return how many rows were changed at an instant (ms) or later; None as instant: all rows."""
        first = KeyRange(PRIMARY_KEY, 1) if since is None else KeyRange(REPLICATION_KEY, from_epoch(since / 1000))
        return self._pages().count(first)

    def rows(self, ids: Sequence[int]) -> Sequence[ShownRow] | None:
        """Return the rows with these ids, as far as one page shows them; None if Jetti does not answer such a question.

        Raises:
            RequestError: The request failed.
        """
        if not self._can_look_up:
            return None
        return self._asked(PRIMARY_KEY, list(ids), len(ids))

    def look_up(self, values: Iterable[str]) -> list[ShownRow] | None:
        """Return the rows with these values of the key field; None if Jetti does not answer such a question.

        A page may be cut at any length: what did not come is asked for again as long as something comes.

        Raises:
            RequestError: A request failed.
        """
        if not self._can_look_up:
            return None
        found: list[ShownRow] = []
        field = self._form.comparison.key_field
        for chunk in key_chunks(field, values, reserved=len(encode(select(where=self._where))) + 64):
            missing = {self._form.key_of(self._feed or 0, value): value for value in chunk}
            while missing:
                rows = self._asked(field, list(missing.values()), KEYS_PER_LOOKUP)
                if rows is None:
                    return None
                if any(row.key not in missing for row in rows):
                    self._stop_looking_up(field, "it returns rows that were not asked for")
                    return None
                found += rows
                if not rows:
                    break
                for row in rows:
                    missing.pop(row.key or 0, None)
        return found

    def _stop_looking_up(self, field: str, reason: str) -> None:
        self._can_look_up = False
        self._profile.warn_once(
            self._logger,
            "Jetti does not filter %s by a list of %s, which costs requests, or repeated writes: %s",
            self._resource,
            field,
            reason,
        )

    def _asked(self, field: str, values: Sequence[object], limit: int) -> list[ShownRow] | None:
        """The rows that have one of these values; None if Jetti refuses the question."""
        query = select(where={**self._where, field: {"$in": values}}, order=PRIMARY_KEY, limit=limit)
        try:
            page = self._session.get(f"{api_name(self._resource)}.json", query, decode=decode_objects).body
        except (ClientError, NotFoundError, ServerError) as error:
            if isinstance(error, ServerError) and not error.maybe_permanent:
                raise
            self._stop_looking_up(field, str(error))
            return None
        except MalformedPageError as error:
            self._stop_looking_up(field, str(error))
            return None
        return self._shown(page)

    def _shown(self, rows: Iterable[Mapping[str, Any]]) -> list[ShownRow]:
        shown = (self._form.shown(self._feed, row) for row in rows)
        return [row for row in shown if row is not None]

    def _pages(self, facts: ResourceFacts | None = None) -> ResourcePages:
        return _FeedPages(
            self._clock,
            self._session,
            self._resource,
            projection=Projection(),
            profile=self._profile,
            logger=self._logger,
            facts=facts,
            where=self._where,
        )


class _FeedPages(ResourcePages):
    """The pages of a feed, up to a moment that is certainly not before the read began, by whatever clock.

    What is read is for the mirror, whose mark stays far behind that moment. So rows that are committed late do no harm,
    and rows that were changed just before, or that a wrong clock places in the future, are not missed.
    """

    def __init__(self, clock: Clock, *arguments: Any, **more: Any) -> None:  # noqa: ANN401 - those of its base
        super().__init__(*arguments, **more)
        self._clock = clock

    @override
    def began(self, at: float) -> float | None:
        began = super().began(at)
        machine = self._clock.time() - (self._clock.monotonic() - at)
        return None if began is None else max(began, machine) + CLOCK_MARGIN


def key_chunks(field: str, values: Iterable[str], *, reserved: int = 0) -> Iterator[list[str]]:
    """Split values into lists that fit into one query each. One that is too long for any is left out."""
    chunk: list[str] = []
    length = reserved
    for value in values:
        own = len(encode([(f"where[{field}][$in][]", value)])) + 1
        if own > LONGEST_QUERY - reserved:
            continue
        if chunk and (len(chunk) == KEYS_PER_LOOKUP or length + own > LONGEST_QUERY):
            yield chunk
            chunk, length = [], reserved
        chunk.append(value)
        length += own
    if chunk:
        yield chunk


def milliseconds(instant: str) -> int:
    """Return an instant in the normal form as milliseconds since the epoch."""
    return round(to_epoch(instant) * 1000)


def server_time(session: JettiSession, clock: Clock) -> int:
    """Return a time in milliseconds that the server's clock has passed, or this machine's if none is known.

    If the two differ, one of them is wrong. The earlier one costs requests, the later one would cost rows.
    """
    server, machine = session.server_clock.at(clock.monotonic()), clock.time()
    return round((machine if server is None else min(server, machine)) * 1000)
