"""The base of all actions: turns records into operations, and operations into calls."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from tap_jetti.errors import AuthenticationError, ForbiddenError, NotFoundError, RecordError, SettingsError
from tap_jetti.reading.id_read import IdRead
from tap_jetti.reading.pages import Projection, ResourcePages
from tap_jetti.reading.proof import Proof
from tap_jetti.target.columns import Columns, FieldNames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from tap_jetti.client.session import Response
    from tap_jetti.target.actions.context import ActionContext
    from tap_jetti.target.delivery.operations import Comparison, OperationKey, Record, Route, Visibility, WriteOperation

LARGEST_BATCH = 50
"""The largest number of records that Jetti accepts in one call."""

REJECT, REMOVE, ZERO, IGNORE = "reject", "remove", "zero", "ignore"
DELETED_ROWS = (REJECT, REMOVE, ZERO, IGNORE)
"""The values of the setting ``deleted_rows``."""

ANY: dict[str, Any] = {}
"""The JSON Schema of a field that may hold anything."""


class Action(ABC):
    """Writes the records of the streams that are mapped to it. See `WriteAction` for what the engine calls.

    Attributes:
        name: Its name in the setting ``stream_actions``.
        title: What it does, in a few words.
        resource: The resource that it writes, whose secret fields are withheld from the rejects file.
        is_partial: Whether a call changes only the fields that it carries, so that two records of one key are merged;
            otherwise the later one replaces the earlier.
        is_limited: Whether the setting ``max_updates`` limits its operations.
        group_seconds: How long an operation waits for others of its key, which are united with it; 0 if it does not.
        has_feed_file: Whether ``delivery: file`` can write its records.
        comparison: How its rows are read, so that only changes are sent; None sends every record.
        schema: The JSON Schema of a record, for actions that do not override `record_schema`.
        deletions: What can be done if the row of a record was deleted in the source: `REMOVE`, `ZERO`.
        sends_unknown: Whether fields that `field_names` does not list are sent, too.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    resource: str
    is_partial: ClassVar[bool] = False
    is_limited: ClassVar[bool] = False
    group_seconds: ClassVar[float] = 0.0
    has_feed_file: ClassVar[bool] = False
    comparison: ClassVar[Comparison | None] = None
    schema: ClassVar[dict[str, Any]] = {}
    deletions: ClassVar[tuple[str, ...]] = ()
    sends_unknown: ClassVar[bool] = False

    def __init__(self, context: ActionContext) -> None:
        self._context = context
        self._session = context.session
        self._webhook_hashes = context.webhook_hashes
        self._known_columns: dict[tuple[str, ...], Columns] = {}  # some taps repeat a SCHEMA before each page

    @classmethod
    def record_schema(cls) -> dict[str, Any]:
        """Return the JSON Schema of a record. Other fields are allowed."""
        return cls.schema

    @property
    def field_names(self) -> FieldNames:
        """The fields that the columns of a record may mean."""
        return FieldNames.of_schema(
            {"properties": self.known_fields()}, is_open=self.sends_unknown, resource=self.resource
        )

    def columns(self, listed: Iterable[str] = (), names: FieldNames | None = None) -> Columns:
        """Return which fields columns mean.

        Args:
            listed: The columns that the SCHEMA lists.
            names: The fields; None for `field_names`.
        """
        key = tuple(listed)
        found = self._known_columns.get(key) if names is None else None
        if found is None:
            found = Columns(
                names or self.field_names, key, refuse_unknown=self._context.refuse_unknown, warn=self._warn_unknown
            )
        if names is None:
            self._known_columns[key] = found
        return found

    @property
    def key_fields(self) -> Sequence[str]:
        """The fields of a record that identify it in a message."""
        schema = self.record_schema()
        either = [name for choice in schema.get("anyOf", ()) for name in choice.get("required", ())]
        return tuple(dict.fromkeys([*schema.get("required", ()), *either]))

    @classmethod
    def known_fields(cls) -> dict[str, Any]:
        """Return the JSON Schemas of all fields that a record may have."""
        found: dict[str, Any] = cls.record_schema()["properties"]
        return found

    @abstractmethod
    def operations_for(self, record: Mapping[str, Any]) -> Sequence[WriteOperation]:
        """Return what a record asks to be written.

        Raises:
            RecordError: The record cannot be written.
            RequestError: Something had to be looked up, and the request failed.
        """

    def operations_for_deleted(self, record: Mapping[str, Any]) -> Sequence[WriteOperation]:
        """Return what is written if the row of a record was deleted in the source; nothing to ignore it.

        Raises:
            RecordError: Such records are rejected, or this one cannot be written.
            RequestError: Something had to be looked up, and the request failed.
        """
        chosen = self._context.deleted_rows
        if chosen == IGNORE:
            return ()
        if chosen in self.deletions:
            return self._operations_for_deletion(record, chosen)
        others = " or ".join([*self.deletions, IGNORE])
        raise RecordError(
            "deleted_row",
            f"the source has deleted this row, and deleted_rows is {chosen}"
            + (f", which {self.name} does not support" if chosen != REJECT else "")
            + f"; set deleted_rows to {others}",
        )

    def _operations_for_deletion(self, record: Mapping[str, Any], how: str) -> Sequence[WriteOperation]:
        """What is written for a deleted row, where `deletions` has the given way."""
        raise NotImplementedError(how)

    @abstractmethod
    def send(self, operations: Sequence[WriteOperation]) -> None:
        """Make one call.

        Raises:
            RecordError: The only operation cannot be written.
            RequestError: The call failed.
        """

    def resource_of(self, record: Mapping[str, Any]) -> str:  # noqa: ARG002 - for actions with several resources
        """Return the resource that a record writes, whose secret fields are withheld from the rejects file."""
        return self.resource

    def key_of(self, record: Mapping[str, Any]) -> OperationKey | None:  # noqa: ARG002 - for actions that know it
        """Return what a record is about that cannot be written; None if that is not known."""
        return None

    def batch_limit(self, route: Route) -> int:  # noqa: ARG002 - for actions with several kinds of routes
        """Return the largest number of operations in a batch of a route."""
        return 1

    def is_queued(self, route: Route) -> bool:  # noqa: ARG002 - for actions with several kinds of routes
        """Whether Jetti accepts the calls of a route before it processes them, perhaps in another order."""
        return False

    def can_merge(self, earlier: WriteOperation, later: WriteOperation) -> bool:
        """Whether a later operation of this action makes an earlier one of its key, of any action, unnecessary."""
        return earlier.action is later.action and earlier.route == later.route

    def merged(self, earlier: Record, later: Record) -> Record:
        """Return the payload of two operations of this action that `can_merge`."""
        return {**earlier, **later} if self.is_partial else later

    def already_done(self, operations: Sequence[WriteOperation]) -> Sequence[WriteOperation]:  # noqa: ARG002 - the same
        """Return the operations of a batch that Jetti has already and that must not be sent.

        Of the others, the payload may be reduced to what Jetti does not have.
        """
        return ()

    def calls(self, operations: Sequence[WriteOperation]) -> Iterator[Sequence[WriteOperation]]:
        """Split a batch into the operations of each call."""
        if operations:
            yield operations

    def visibility(self, operation: WriteOperation) -> Visibility | None:  # noqa: ARG002 - for asynchronous writes
        """Return how to check that a sent operation took effect; None if the response says so, or nothing does."""
        return None

    def _write(self, method: str, path: str, body: object) -> Response:
        self._context.summary.add(self.name, calls=1)
        return self._session.write(method, path, body, repeatable=True)

    def _write_once(self, method: str, path: str, body: object, *, begin: Callable[[], None]) -> Response:
        """Make a call that is not repeated if it may have arrived; `begin` is called just before it leaves."""
        self._context.summary.add(self.name, calls=1)
        return self._session.write(method, path, body, repeatable=False, on_departure=begin)

    def _write_inbound(self, method: str, path: str, body: object, *, hash_: str, owner: str) -> None:
        """Make a call of the inbound API with the hash of `owner`, a feed or channel as errors name it."""
        self._context.summary.add(self.name, calls=1)
        try:
            self._session.write_inbound(method, path, body, hash_=hash_, repeatable=True)
        except (AuthenticationError, ForbiddenError) as error:
            raise SettingsError(
                f"Jetti refused the hash of {owner} ({error.status} on {method} {error.path})."
                " Correct it in the settings, or remove it from them to have it looked up."
            ) from error
        except NotFoundError as error:
            raise SettingsError(
                f"{error.what} ({error.status} on {method} {error.path}). Check inbound_url."
            ) from error

    def _rows(self, resource: str, fields: Sequence[str], where: Mapping[str, Any] | None = None) -> list[Record]:
        """Read all rows of a resource that meet conditions; they must be few."""
        source = ResourcePages(
            self._session,
            resource,
            projection=Projection(("id", *fields)),
            profile=self._context.profile,
            logger=self._context.logger,
            where=where,
        )
        self._context.summary.add(self.name, calls=1)
        read = IdRead(source, verify_counts="auto", logger=self._context.logger)
        rows = [row for page in read.pages() for row in page]
        if read.proof is Proof.UNPROVEN:
            self._context.profile.warn_once(
                self._context.logger,
                "%s: Jetti does not count %s, so it is not certain that all of them were found. One that was not found"
                " may be created a second time.",
                self.name,
                resource,
            )
        return rows

    def _warn_unknown(self, columns: Sequence[str]) -> None:
        self._context.profile.warn_once(
            self._context.logger,
            "%s: Jetti has no field for these columns; they are not sent: %s",
            self.name,
            ", ".join(columns),
        )
