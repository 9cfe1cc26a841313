"""Asks for the pages and counts of one resource, and checks what comes against what was asked."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from tap_jetti.client.query import Pairs, encode, select
from tap_jetti.errors import (
    ClientError,
    ForbiddenError,
    JettiError,
    NotFoundError,
    ServerError,
    UnreliableResponseError,
)
from tap_jetti.facts.resources import PRIMARY_KEY, api_name
from tap_jetti.facts.timestamps import from_epoch
from tap_jetti.reading.page import MalformedPageError, decode_objects
from tap_jetti.reading.page_limit import Limit
from tap_jetti.reading.resource_facts import ResourceFacts

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping, Sequence

    from tap_jetti.client.server_clock import ServerClock
    from tap_jetti.client.session import Response
    from tap_jetti.reading.page import Decode, Page
    from tap_jetti.reading.server_profile import ServerProfile

LONGEST_QUERY = 6000
"""Characters of a query at most; a longer list of fields is not sent."""

IGNORED = -1
"""Instead of the newest id: the server ignores a descending order."""

LONGEST_COUNT = 10**12
"""No resource has more rows than this: a larger count is not one."""


@dataclass(frozen=True)
class Projection:
    """Which columns of a row are asked for.

    Attributes:
        attributes: The fields wanted; none means all.
        include: Associated models, as the API spells them.
    """

    attributes: Sequence[str] = ()
    include: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class KeyRange:
    """The closed range of one field that a page was asked for.

    Attributes:
        name: The field, which is also the one ordered by.
        lower: The least value allowed.
        upper: The greatest value allowed, or None.
    """

    name: str
    lower: Any
    upper: Any = None

    def where(self) -> dict[str, Any]:
        """The conditions that ask for it."""
        upper = {} if self.upper is None else {"$lte": self.upper}
        return {self.name: {"$gte": self.lower, **upper}}


def where_all(ranges: Sequence[KeyRange]) -> dict[str, Any]:
    """The conditions that ask for several ranges at once."""
    return {name: condition for one in ranges for name, condition in one.where().items()}


@dataclass(frozen=True)
class AskedPage:
    """A page together with what it was asked for.

    Attributes:
        page: The rows.
        limit: The rows that were asked for at most.
        sent: The monotonic clock, in seconds, when its request left.
    """

    page: Page
    limit: int
    sent: float


class PageReader(Protocol):
    """Where a read gets its pages and counts from; `ResourcePages` is the plain one."""

    resource: str
    facts: ResourceFacts
    profile: ServerProfile

    def began(self, at: float) -> float | None:
        """The server's clock, at least, when the read began, in seconds since the epoch; None while it is not known.

        That is earlier than when its first answered request left. A retried request can leave later than the requests
        of the reads that follow, and what one read gives must be there for the next.

        Args:
            at: This machine's monotonic clock, in seconds, when the read began.
        """
        ...

    def page(self, *ranges: KeyRange) -> AskedPage:
        """The first page of the rows in all ranges, ordered by the field of the first."""
        ...

    def newest_id(self) -> int | None:
        """The largest id there is; None if the response does not show it; `IGNORED` if the order is not descending."""
        ...

    def count(self, *ranges: KeyRange) -> int | None:
        """The rows that the server counts in all ranges, or None where it does not count this resource."""
        ...

    def estimate(self, *ranges: KeyRange) -> int | None:
        """The same, for showing progress only: it may have been counted before."""
        ...


class Reads(Protocol):
    """What a page reader needs of a session."""

    server_clock: ServerClock

    def get(
        self,
        path: str,
        query: Pairs | None = None,
        *,
        decode: Callable[[bytes], Any] | None = None,
        retry: bool = True,
    ) -> Response:
        """Read from the API, see `JettiSession.get`."""


class ResourcePages:
    """The pages of one resource.

    Args:
        session: What sends the requests.
        resource: The resource in snake_case.
        projection: The columns asked for.
        profile: What is known of the server.
        facts: What is known of this resource; by default nothing.
        logger: Where odd responses are reported.
        where: Conditions that every page and count is asked under, besides its own.
        decode: Makes a page of a response's bytes; by default a dict per row.
    """

    def __init__(
        self,
        session: Reads,
        resource: str,
        *,
        projection: Projection,
        profile: ServerProfile,
        logger: logging.Logger,
        facts: ResourceFacts | None = None,
        where: Mapping[str, Any] | None = None,
        decode: Decode | None = None,
    ) -> None:
        self.session = session
        self.resource = resource
        self.profile = profile
        self.facts = facts or ResourceFacts(resource)
        self.path = f"{api_name(resource)}.json"
        self.decode: Decode = decode or decode_objects
        self._count_path = f"{api_name(resource)}/count.json"
        self._projection = projection
        self._logger = logger
        self._where = dict(where or {})
        self._wanted = profile.page_limit.first(resource, self.facts.largest)
        self._last_limit = 0

    @property
    def is_growing(self) -> bool:
        """Whether the next page is asked for larger than the last one."""
        return self._wanted > self._last_limit

    def began(self, at: float) -> float | None:
        """The server's clock when the read began, see `PageReader.began`."""
        return self.session.server_clock.at(at)

    def page(self, *ranges: KeyRange) -> AskedPage:
        """One page of as many rows as the server is known or tried to give, see `PageReader.page`.

        Raises:
            UnreliableResponseError: Twice the rows were not those asked for.
            RequestError: The request failed.
        """
        limits = self.profile.page_limit
        limit = limits.ask(self.resource, self._wanted)
        try:
            page, response = self._checked(ranges, limit)
        except JettiError as error:
            smaller = None
            if limit.is_probe:
                smaller = limits.failed(limit, error)
            elif not self._last_limit:
                smaller = limits.below_first(limit, error)
            if smaller is None:
                raise
            page, response = self._checked(ranges, smaller)
            began = self.began(response.sent)
            limits.refuse(limit, error, worked=smaller, now=None if began is None else from_epoch(began))
            limit = smaller
            self._wanted = limits.first(self.resource, self.facts.largest)
        except BaseException:
            limits.give_up(limit)
            raise
        self._wanted = limits.after(
            limit,
            rows=len(page),
            seconds=response.received - response.sent,
            size=response.size,
            may_grow=not self._projection.include and not self.facts.is_capped,
        )
        self._last_limit = limit.rows
        return AskedPage(page, limit.rows, response.sent)

    def page_at(self, *ranges: KeyRange, limit: int, skip: int) -> Page:
        """The page that is so many rows, or pages, behind the first of the ranges, whatever ``from`` means.

        Raises:
            UnreliableResponseError: Twice the rows were not those asked for.
            RequestError: The request failed.
        """
        return self._checked(ranges, Limit(limit), skip=skip)[0]

    def newest_id(self) -> int | None:
        """The largest id, see `PageReader.newest_id`.

        Two rows are asked for, because one alone does not show whether it is the first or the last.

        Raises:
            RequestError: The request failed.
        """
        query = select(where=self._where, order=PRIMARY_KEY, descending=True, limit=2)
        try:
            ids = self.session.get(self.path, query, decode=decode_objects).body.ids
        except MalformedPageError:
            return IGNORED
        if len(ids) < 2:  # noqa: PLR2004 - see above
            return None
        return max(ids) if ids[0] > ids[1] else IGNORED

    def count(self, *ranges: KeyRange) -> int | None:
        """The rows that the server counts, or None where it does not count this resource."""
        if self.resource in self.profile.uncounted:
            return None
        try:
            body = self.session.get(self._count_path, select(where={**self._where, **where_all(ranges)})).body
            return _number_of(body)
        except (NotFoundError, ForbiddenError, ClientError) as error:
            reason = str(error)
        except ServerError as error:
            if not error.maybe_permanent:
                raise
            reason = str(error)
        except (KeyError, TypeError, ValueError):
            reason = "the response holds no count."
        self.profile.stop_counting(self.resource)
        self.profile.warn_once(
            self._logger,
            "Jetti does not count %s, so this read is not proven complete. The reason: %s",
            self.resource,
            reason,
        )
        return None

    def estimate(self, *ranges: KeyRange) -> int | None:
        """The rows that the server counts, see `PageReader.estimate`."""
        return self.count(*ranges)

    def _checked(self, ranges: Sequence[KeyRange], limit: Limit, *, skip: int | None = None) -> tuple[Page, Response]:
        """A page whose rows are in the ranges and in order; one that is not is asked for once more."""
        fault = None
        for _ in range(2):
            attributes = self._attributes()
            try:
                response = self._get(ranges, attributes, limit, skip)
            except MalformedPageError as error:
                fault = str(error)
            else:
                page: Page = response.body
                fault = _fault(page, ranges)
                if fault is None:
                    self.facts.note_page(len(page))
                    return page, response
            if limit.is_probe:
                break  # its size is blamed first
            self._logger.warning("%s: %s; asking once more.", self.path, fault)
            if attributes:
                self._refuse(attributes, f"its response is wrong ({fault})")
        raise UnreliableResponseError(
            f"Jetti did not return what was asked for (GET {self.path}): {fault}."
            " To go on would lose rows, so this stream stops. Run again. If it fails again,"
            " Jetti ignores the filter or the order: tell its support."
        )

    def _get(self, ranges: Sequence[KeyRange], attributes: Sequence[str], limit: Limit, skip: int | None) -> Response:
        other: dict[str, Any] = {} if skip is None else {"from": skip}

        def query(attributes: Sequence[str]) -> Pairs:
            return select(
                where={**self._where, **where_all(ranges)},
                order=ranges[0].name,
                limit=limit.rows,
                attributes=attributes,
                include=self._projection.include,
                **other,
            )

        if attributes and len(encode(query(attributes))) > LONGEST_QUERY:
            attributes = ()
        try:
            return self.session.get(self.path, query(attributes), decode=self.decode, retry=not limit.is_probe)
        except (ClientError, ServerError) as error:
            # A probe's size is blamed before its list of fields is.
            if limit.is_probe or not attributes or (isinstance(error, ServerError) and not error.maybe_permanent):
                raise
            refusal = error
        response = self.session.get(self.path, query(()), decode=self.decode)
        self._refuse(attributes, str(refusal))
        return response

    def _attributes(self) -> Sequence[str]:
        wanted = self._projection.attributes
        refused = self.profile.refused_fields
        return () if refused is not None and len(wanted) >= refused else wanted

    def _refuse(self, attributes: Sequence[str], reason: str) -> None:
        self.profile.refuse_fields(len(attributes))
        self._logger.warning(
            "Jetti refuses a list of %d fields, so all fields are read and only the selected ones kept: %s",
            len(attributes),
            reason,
        )


def _number_of(body: Any) -> int:  # noqa: ANN401 - any JSON
    """The number that a response to a count holds.

    Raises:
        ValueError: It is not a number of rows.
    """
    found = body["count"] if isinstance(body, dict) else body
    if isinstance(found, bool) or not isinstance(found, (int, str, float, Decimal)):
        raise ValueError(found)  # noqa: TRY004 - one error for all that is not a count
    if isinstance(found, str):
        if not (found.isascii() and found.isdecimal() and len(found) <= len(str(LONGEST_COUNT))):
            raise ValueError(found)
        return int(found)
    if not 0 <= found <= LONGEST_COUNT or found != int(found):
        raise ValueError(found)
    return int(found)


def _fault(page: Page, ranges: Sequence[KeyRange]) -> str | None:
    """What is wrong with a page, or None."""
    for number, wanted in enumerate(ranges):
        values = page.values(wanted.name)
        if None in values:
            return f"expected a date as {wanted.name}, got null (id {page.ids[values.index(None)]})"
        in_order = sorted(values)
        if number == 0 and values != in_order:
            return f"expected rows ordered by {wanted.name}, got them in another order"
        if in_order and (in_order[0] < wanted.lower or (wanted.upper is not None and in_order[-1] > wanted.upper)):
            return (
                f"expected {wanted.name} from {wanted.lower} to {wanted.upper or 'any'},"
                f" got {in_order[0]} to {in_order[-1]}"
            )
    return None
