"""The base of all actions: from a record to drafts, from items to calls."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from tap_jetti.errors import AuthenticationError, ForbiddenError, NotFoundError, RecordError, SettingsError
from tap_jetti.reading.keyset import FullRead
from tap_jetti.reading.pages import Projection, ResourcePages
from tap_jetti.target.delivery.record_errors import MissingKeyError
from tap_jetti.target.fields import UnfitError, integer_of

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tap_jetti.client.clock import Clock
    from tap_jetti.client.session import JettiSession, Response
    from tap_jetti.reading.server_profile import ServerProfile
    from tap_jetti.target.actions.visible_rows import Visibility
    from tap_jetti.target.actions.webhook_hashes import WebhookHashes
    from tap_jetti.target.delivery.operations import Key, Record, Route, WriteOperation
    from tap_jetti.target.delivery.summary import Summary

LARGEST_BATCH = 50
"""Items that Jetti takes in one call at most."""

PAGE_SIZE = 100
"""Rows asked for a page when an action looks something up."""


@dataclass(frozen=True)
class ActionContext:
    """What all actions of a run share.

    Attributes:
        session: What sends requests.
        webhook_hashes: Feeds and channels.
        delivery: The way that the settings choose: inbound, api or file.
        batch_size: Items a call at most.
        summary: Where calls are counted.
        clock: What waits are slept by.
        profile: What was learnt of the server, and said once.
        logger: Where oddities are reported.
    """

    session: JettiSession
    webhook_hashes: WebhookHashes
    delivery: str
    batch_size: int
    summary: Summary
    clock: Clock
    profile: ServerProfile
    logger: logging.Logger


class Draft(msgspec.Struct, frozen=True, gc=False):
    """What a record asks to be written, before it is compared.

    Attributes:
        route: As of an `WriteOperation`.
        key: As of an `WriteOperation`.
        payload: What is sent.
        part: The fields of the record that ask for this alone, with what of them does, if it is one
            of several drafts.
    """

    route: Route
    key: Key
    payload: Record
    part: Record | None = None


class Action(ABC):
    """Writes the records of the streams that are mapped to it.

    Attributes:
        name: What streams are mapped to.
        title: What it does, for people.
        resource: The resource it writes, whose secret fields are withheld from rejects.
        is_partial: Whether a call changes only the fields it carries, so that two records of a key
            are merged; otherwise the later one replaces the earlier.
        record: The JSON Schema of a record, unless `record_schema` makes it up.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    resource: ClassVar[str]
    is_partial: ClassVar[bool] = False
    record: ClassVar[dict[str, Any]] = {}

    def __init__(self, context: ActionContext) -> None:
        self._around = context
        self._session = context.session
        self._owners = context.webhook_hashes

    @classmethod
    def record_schema(cls) -> dict[str, Any]:
        """The JSON Schema of a record. Other fields are allowed."""
        return cls.record

    @abstractmethod
    def drafts(self, record: Mapping[str, Any]) -> Sequence[Draft]:
        """What a record asks to be written.

        Raises:
            RecordError: It cannot be written.
            RequestError: Something had to be looked up, and could not.
        """

    @abstractmethod
    def send(self, operations: Sequence[WriteOperation]) -> None:
        """Make one call.

        Raises:
            RecordError: Jetti or this action refuses the only item.
            RequestError: The call failed.
        """

    def limit(self, route: Route) -> int:  # noqa: ARG002 - for those with several kinds of lanes
        """Items of a batch in a lane."""
        return 1

    def replaces(self, earlier: WriteOperation, later: WriteOperation) -> bool:  # noqa: ARG002 - for those whose keys are not all
        """Whether the later item of a key makes the earlier needless; else they are sent one after the other."""
        return True

    def effect(self, operation: WriteOperation) -> Visibility | None:  # noqa: ARG002 - for those that are processed later
        """Where it shows that an item took effect, or None if its call's answer says so or nothing does."""
        return None

    def already_done(self, operations: Sequence[WriteOperation]) -> Sequence[WriteOperation]:  # noqa: ARG002 - for those that look
        """Those of a batch that Jetti has already, so that they must not be sent."""
        return ()

    def calls(self, operations: Sequence[WriteOperation]) -> Iterator[Sequence[WriteOperation]]:
        """The items of each call that a batch takes."""
        if operations:
            yield operations

    def _write(self, method: str, path: str, body: object, *, repeatable: bool = True) -> Response:
        self._around.summary.add(self.name, calls=1)
        return self._session.write(method, path, body, repeatable=repeatable)

    def _write_inbound(self, method: str, path: str, body: object, *, hash_: str, owner: str) -> None:
        self._around.summary.add(self.name, calls=1)
        try:
            self._session.write_inbound(method, path, body, hash_=hash_, repeatable=True)
        except (AuthenticationError, ForbiddenError) as error:
            raise SettingsError(
                f"Jetti refused the hash of {owner} ({error.status} on {method} {error.path})."
                " Correct it in the settings, or leave it out to have it looked up."
            ) from error
        except NotFoundError as error:
            raise SettingsError(
                f"{error.what} ({error.status} on {method} {error.path}). Check inbound_url."
            ) from error

    def _rows(self, resource: str, fields: Sequence[str], where: Mapping[str, Any] | None = None) -> list[Record]:
        """All rows of a resource that meet some conditions: a few."""
        source = ResourcePages(
            self._session,
            resource,
            page_size=PAGE_SIZE,
            projection=Projection(("id", *fields)),
            profile=self._around.profile,
            logger=self._around.logger,
            where=where,
        )
        self._around.summary.add(self.name, calls=1)
        read = FullRead(source, verify_counts=False, logger=self._around.logger)
        return [row for page in read.pages() for row in page]

    def _note_others(self, record: Mapping[str, Any]) -> None:
        """Say once of each field that no call of this action takes: a misspelt one must not get lost silently."""
        others = record.keys() - self.record["properties"].keys()
        if others:
            self._note_unknown([name for name in sorted(others) if not name.startswith("_")])

    def _note_unknown(self, fields: Iterable[str]) -> None:
        for field in fields:
            self._around.profile.warn_once(
                self._around.logger, "%s: Jetti has no field %s; it is not sent.", self.name, field
            )


def holds(record: Mapping[str, Any], name: str) -> bool:
    """Whether a field of a record says anything; sources without nulls, such as CSV, write an empty text."""
    value = record.get(name)
    return value is not None and not (isinstance(value, str) and not value.strip())


def required(record: Mapping[str, Any], *names: str) -> None:
    """Refuse a record that lacks one of these fields.

    Raises:
        MissingKeyError: One is absent, null or empty.
    """
    for name in names:
        if not holds(record, name):
            raise MissingKeyError(f"{name}.missing", f"{name} is missing")


def id_in(record: Mapping[str, Any], name: str) -> int:
    """The id that a field of a record holds.

    Raises:
        RecordError: It is absent or no positive integer.
    """
    required(record, name)
    try:
        found = integer_of(record[name])
    except UnfitError:
        found = 0
    if found <= 0:
        raise RecordError(f"{name}.invalid", f"{name} must be a positive integer")
    return found


def text_in(record: Mapping[str, Any], name: str) -> str:
    """The text that a field of a record holds, also where a warehouse keeps it as a number.

    Raises:
        RecordError: It is absent or neither a text nor a number.
    """
    required(record, name)
    value = record[name]
    if isinstance(value, (bool, list, dict)):
        raise RecordError(f"{name}.invalid", f"{name} must be a text")
    return str(value)


def without_own(record: Mapping[str, Any], *names: str) -> Record:
    """A record as a body: without the fields of the loader (``_sdc_…``) and these."""
    return {name: value for name, value in record.items() if name not in names and not name.startswith("_")}
