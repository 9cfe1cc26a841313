"""One page of a resource: asked for, checked against what was asked, asked once more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from tap_jetti.client.query import Pairs, encode, select
from tap_jetti.errors import (
    ClientError,
    ForbiddenError,
    NotFoundError,
    ServerError,
    UnreliableResponseError,
)
from tap_jetti.facts.json_codec import decode_json, encode_json
from tap_jetti.facts.resources import PRIMARY_KEY, REPLICATION_KEY, api_name
from tap_jetti.facts.timestamps import normalise

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping, Sequence

    from tap_jetti.client.server_clock import ServerClock
    from tap_jetti.client.session import Response
    from tap_jetti.reading.server_profile import ServerProfile

Row = dict[str, Any]

LONGEST_QUERY = 6000
"""Characters of a query at most; a longer list of fields is not sent."""


Decode = Callable[[bytes], "Page"]
"""Turns the body of an answer into a page."""


@dataclass(frozen=True)
class Page:
    """The rows of one answer, of whatever type its decoder makes them, and their keys.

    Attributes:
        rows: The rows.
        ids: The ``id`` of each.
        keys: The ``updatedAt`` of each in the normal form, or None.
    """

    rows: list[Any]
    ids: list[int]
    keys: list[Any]

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.rows)

    def __iter__(self) -> Iterator[Any]:
        """The rows."""
        return iter(self.rows)

    def only(self, wanted: Sequence[int] | range) -> Page:
        """The page with these of its rows, by position."""
        if len(wanted) == len(self.rows):
            return self
        return Page(
            [self.rows[index] for index in wanted],
            [self.ids[index] for index in wanted],
            [self.keys[index] for index in wanted],
        )

    def values(self, name: str) -> list[Any]:
        """The values of one of the two keys."""
        return self.ids if name == PRIMARY_KEY else self.keys


class PageReader(Protocol):
    """What a reader needs to know of where its pages come from; `ResourcePages` is the plain one."""

    resource: str
    page_size: int
    profile: ServerProfile

    def began(self, at: float) -> float | None:
        """The server's clock, at least, when the read began, in seconds since the epoch.

        Not when its first request left that was answered: one that has to be sent again leaves later than those of
        the reads that follow, and what one read gives must be there for the next.

        Args:
            at: This machine's monotonic clock, in seconds, when it begins now, or has begun.

        Returns:
            None while it is not known.
        """
        ...

    def page(self, where: Mapping[str, Any], bounds: Sequence[KeyRange]) -> tuple[Page, float]:
        """One page, see `ResourcePages.page`."""
        ...

    def count(self, where: Mapping[str, Any]) -> int | None:
        """The rows that the server counts, see `ResourcePages.count`."""
        ...

    def counted(self, where: Mapping[str, Any]) -> int | None:
        """The rows that the server counted when the read began, or None if it was not asked then."""
        ...

    def try_large_page(self, rows: int) -> None:
        """See whether the server gives a page of so many rows, see `ResourcePages.try_large_page`."""
        ...


class MalformedPageError(ValueError):
    """An answer is well-formed JSON, but no list of rows with their keys."""


class Reads(Protocol):
    """What a reader needs of a session."""

    server_clock: ServerClock

    def get(self, path: str, query: Pairs | None = None, *, decode: Callable[[bytes], Any] | None = None) -> Response:
        """Read from the API, see `JettiSession.get`."""


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


class ResourcePages:
    """The pages of one resource.

    Args:
        session: What sends the requests.
        resource: The resource in snake_case.
        page_size: Rows asked for a page; the server may give fewer.
        projection: The columns asked for.
        profile: What is known of the server.
        logger: Where odd answers are reported.
        where: Conditions that every page and count is asked under, besides its own.
        decode: Makes a page of an answer's bytes; by default a dict a row.
    """

    def __init__(
        self,
        session: Reads,
        resource: str,
        *,
        page_size: int,
        projection: Projection,
        profile: ServerProfile,
        logger: logging.Logger,
        where: Mapping[str, Any] | None = None,
        decode: Decode | None = None,
    ) -> None:
        self.session = session
        self.resource = resource
        self.page_size = page_size
        self.profile = profile
        self.path = f"{api_name(resource)}.json"
        self._count_path = f"{api_name(resource)}/count.json"
        self._projection = projection
        self._logger = logger
        self._where = dict(where or {})
        self._decode = decode or decode_objects

    def began(self, at: float) -> float | None:
        """The server's clock when the read began, see `PageReader.began`."""
        return self.session.server_clock.at(at)

    def page(
        self,
        where: Mapping[str, Any],
        bounds: Sequence[KeyRange],
        *,
        limit: int | None = None,
        skip: int | None = None,
    ) -> tuple[Page, float]:
        """One page, ordered by the first of the bounds and checked.

        Args:
            where: The conditions.
            bounds: What the rows must obey; they must not decrease in the first one.
            limit: Rows asked for instead of the page size.
            skip: The parameter ``from``, whatever the server takes it for.

        Returns:
            The page, and the monotonic clock, in seconds, when its request left.

        Raises:
            UnreliableResponseError: Twice the rows were not those asked for.
            RequestError: The request failed.
        """
        fault = None
        for _ in range(2):
            attributes = self._attributes()
            try:
                answer = self._get(where, bounds[0].name, attributes, limit or self.page_size, skip)
            except MalformedPageError as error:
                fault = str(error)
            else:
                page: Page = answer.body
                fault = _fault(page, bounds)
                if fault is None:
                    return page, answer.sent
            self._logger.warning("%s: %s; asking once more.", self.path, fault)
            if attributes:
                self._refuse(attributes, f"its answer is wrong ({fault})")
        raise UnreliableResponseError(
            f"Jetti did not answer what was asked (GET {self.path}): {fault}."
            " Reading on would lose rows, so this stream stops. Try again; if it lasts,"
            " the server ignores filter or order: tell the vendor."
        )

    def count(self, where: Mapping[str, Any]) -> int | None:
        """The rows that the server counts, or None where it does not count this resource."""
        if self.resource in self.profile.uncounted:
            return None
        try:
            body = self.session.get(self._count_path, select(where={**self._where, **where})).body
            return int(body["count"] if isinstance(body, dict) else body)
        except (NotFoundError, ForbiddenError, ClientError) as error:
            reason = str(error)
        except ServerError as error:
            if not error.maybe_permanent:
                raise
            reason = str(error)
        except (KeyError, TypeError, ValueError):
            reason = "its answer has no count."
        self.profile.uncounted.add(self.resource)
        self.profile.warn_once(
            self._logger,
            "%s cannot be counted, so this read is not proven complete: %s",
            self.resource,
            reason,
        )
        return None

    def counted(self, where: Mapping[str, Any]) -> int | None:  # noqa: ARG002 - nothing is asked ahead
        """None: nothing was asked before it is needed."""
        return None

    def try_large_page(self, rows: int) -> None:
        """See whether the server gives a page of so many rows, by asking for the resource's first ones, once a session.

        The answer is noted among the page sizes.
        """
        if self.profile.tried_large_page:
            return
        self.profile.tried_large_page = True
        try:
            page, _ = self.page({}, [KeyRange(PRIMARY_KEY, 0)], limit=rows)
        except (ClientError, UnreliableResponseError) as error:
            self._logger.debug("No large page was seen: %s", error)
        else:
            self.profile.page_sizes.note(len(page))

    def _get(
        self, where: Mapping[str, Any], order: str, attributes: Sequence[str], limit: int, skip: int | None
    ) -> Response:
        def query(attributes: Sequence[str]) -> Pairs:
            return select(
                where={**self._where, **where},
                order=order,
                limit=limit,
                attributes=attributes,
                include=self._projection.include,
                **({} if skip is None else {"from": skip}),
            )

        if attributes and len(encode(query(attributes))) > LONGEST_QUERY:
            attributes = ()
        try:
            return self.session.get(self.path, query(attributes), decode=self._decode)
        except (ClientError, ServerError) as error:
            if not attributes or (isinstance(error, ServerError) and not error.maybe_permanent):
                raise
            refusal = error
        answer = self.session.get(self.path, query(()), decode=self._decode)
        self._refuse(attributes, str(refusal))
        return answer

    def _attributes(self) -> Sequence[str]:
        wanted = self._projection.attributes
        refused = self.profile.refused_fields
        return () if refused is not None and len(wanted) >= refused else wanted

    def _refuse(self, attributes: Sequence[str], reason: str) -> None:
        self.profile.refuse(len(attributes))
        self._logger.warning(
            "Jetti refuses a list of %d fields, so all are read and the selected ones kept: %s",
            len(attributes),
            reason,
        )


def decode_objects(content: bytes) -> Page:
    """A page of dicts, with decimals exact and keys in their normal form.

    Raises:
        msgspec.DecodeError: The content is no complete JSON.
        MalformedPageError: It is not a list of objects with an ``id``.
    """
    rows = decode_json(content)
    if not isinstance(rows, list):
        raise MalformedPageError(f"expected a JSON array, got {type(rows).__name__}")
    for row in rows:
        _normalise_keys(row)
    return Page(rows, [row[PRIMARY_KEY] for row in rows], [row.get(REPLICATION_KEY) for row in rows])


class _Keys(msgspec.Struct, gc=False):
    id: int | str
    updatedAt: str | None = None  # noqa: N815 - the API's own spelling


_ROWS = msgspec.json.Decoder(list[msgspec.Raw])
_KEYS = msgspec.json.Decoder(list[_Keys])


def decode_raw(content: bytes) -> Page:
    """A page of rows that are not decoded yet, `msgspec.Raw` each: a tenth of the memory.

    Raises:
        msgspec.DecodeError: The content is no complete JSON.
        MalformedPageError: It is not a list of objects with an ``id``.
    """
    try:
        found = _KEYS.decode(content)
    except msgspec.ValidationError as error:
        raise MalformedPageError(f"expected rows with their keys: {error}") from error
    except msgspec.DecodeError:
        return decode_raw(encode_json(decode_json(content)))  # with what it has a remedy for
    rows: list[dict[str, Any]] = [{PRIMARY_KEY: row.id, REPLICATION_KEY: row.updatedAt} for row in found]
    for row in rows:
        _normalise_keys(row)
    return Page(_ROWS.decode(content), [row[PRIMARY_KEY] for row in rows], [row[REPLICATION_KEY] for row in rows])


def encode_raw(rows: Sequence[msgspec.Raw]) -> bytes:
    """The body of an answer with these rows."""
    return b"[" + b",".join(map(bytes, rows)) + b"]"


def _normalise_keys(row: Any) -> None:  # noqa: ANN401 - unchecked
    if not isinstance(row, dict):
        raise MalformedPageError(f"expected an object a row, got {type(row).__name__}")
    key = row.get(PRIMARY_KEY)
    if type(key) is not int:
        if not (isinstance(key, str) and key.isdecimal()):
            raise MalformedPageError(f"expected an integer {PRIMARY_KEY}, got {type(key).__name__}")
        row[PRIMARY_KEY] = int(key)
    date = row.get(REPLICATION_KEY)
    if date is not None:
        try:
            row[REPLICATION_KEY] = normalise(str(date))
        except ValueError as error:
            raise MalformedPageError(f"expected a date as {REPLICATION_KEY}: {error} (id {key})") from error


def _fault(page: Page, bounds: Sequence[KeyRange]) -> str | None:
    """What is wrong with a page, or None."""
    for number, bound in enumerate(bounds):
        values = page.values(bound.name)
        if None in values:
            return f"expected a date as {bound.name}, got none (id {page.ids[values.index(None)]})"
        in_order = sorted(values)
        if number == 0 and values != in_order:
            return f"expected rows ordered by {bound.name}, got them in another order"
        if in_order and (in_order[0] < bound.lower or (bound.upper is not None and in_order[-1] > bound.upper)):
            return (
                f"expected {bound.name} from {bound.lower} to {bound.upper or 'any'},"
                f" got {in_order[0]} to {in_order[-1]}"
            )
    return None
