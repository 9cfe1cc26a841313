"""Inventory feed variants: added, updated and removed by their external ids within a feed."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_jetti.errors import ClientError, JettiError, NotFoundError, RetriableError, ServerError, SettingsError
from tap_jetti.facts import resources
from tap_jetti.target.actions.action import ANY, REMOVE, ZERO, Action
from tap_jetti.target.actions.record_fields import has_value, id_in, require_content, text_in
from tap_jetti.target.actions.routes import API, API_ROW, FILE, FILE_REMOVAL, INBOUND
from tap_jetti.target.actions.visible_rows import RowVisibility
from tap_jetti.target.delivery.ledger.decisions import UNDER_WAY_MS
from tap_jetti.target.delivery.operations import Comparison, OperationKey, Route, WriteOperation
from tap_jetti.target.delivery.record_errors import MissingKeyError, record_error_of
from tap_jetti.target.fields import Fields, id_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tap_jetti.target.actions.context import ActionContext

RESOURCE = "inventory_feed_variants"

MAX_LOOK_UPS = 100
"""Rows that are looked up by their ids in one run, where other records name rows by their external ids."""

_FEED = {"type": ["integer", "null"], "description": "The feed. Overrides the setting inventory_feed_id."}


class FeedVariants(Action):
    """Writes inventory: in batches of up to 50 inbound, or one call per variant through the API.

    A record with an ``id`` and no ``externalId`` updates the row of that id through the API, also with ``delivery:
    inbound``. With ``delivery: api`` a record that has both is written by its ``id``, too. A feed file cannot hold a
    record without ``externalId``, nor records of a second feed: one file is one feed.

    Identify a row in the same way within a run. If records with ``externalId`` came before one with an ``id`` alone,
    its row is looked up, so that both keep their order. Where that is not possible, a warning says so: the order of
    such records is not guaranteed then.
    """

    name = "inventory_feed_variants"
    title = "Add or update inventory feed variants"
    resource = RESOURCE
    is_partial = True
    is_limited = True
    has_feed_file = True
    deletions = (REMOVE, ZERO)
    comparison = Comparison(RESOURCE, "inventoryFeedId", "externalId", "inventoryQuantity")

    def __init__(self, context: ActionContext) -> None:
        super().__init__(context)
        self._is_inbound = context.delivery == INBOUND
        self._is_file = context.delivery == FILE
        self._fields = Fields(RESOURCE, leave_out=frozenset({"inventoryFeedId"}))
        self._kinds = tuple(self._fields.kinds.items())
        self._began = context.clock.monotonic()
        self._routes: dict[Any, Route] = {}
        self._has_external_ids = self._has_unknown_rows = False
        self._look_ups = MAX_LOOK_UPS

    @classmethod
    @override
    def record_schema(cls) -> dict[str, Any]:
        whole = resources.schema(RESOURCE)
        return {
            **whole,
            "properties": {**whole["properties"], "inventoryFeedId": _FEED},
            "anyOf": [{"required": ["externalId"]}, {"required": ["id"]}],
        }

    @classmethod
    @override
    def known_fields(cls) -> dict[str, Any]:
        return {**dict.fromkeys(resources.secret_fields(RESOURCE), ANY), **super().known_fields()}

    @override
    def operations_for(self, record: Mapping[str, Any]) -> Sequence[WriteOperation]:
        payload = self._fields.project(record)
        has_external_id = has_value(record, "externalId")
        if not (self._is_file or (has_external_id and self._is_inbound)) and has_value(record, "id"):
            return (self._update_by_id(record, payload, has_external_id=has_external_id),)
        if not has_external_id:
            raise MissingKeyError("externalId.missing", "externalId is missing, and there is no id either")
        external_id = payload["externalId"]
        if len(payload) == 1:
            require_content(payload, "externalId")
        route = self._route_of(record.get("inventoryFeedId"))
        self._has_external_ids = True
        if self._has_unknown_rows:
            self._warn_unknown_rows()
        key = OperationKey(RESOURCE, route.parent_id, "externalId", external_id)
        return (WriteOperation(self, route, key, payload),)

    @override
    def _operations_for_deletion(self, record: Mapping[str, Any], how: str) -> Sequence[WriteOperation]:
        if how == REMOVE:
            return self._removals.operations_for(record)
        # Of a deleted row, a source may know nothing but the key.
        known = {name: value for name, value in record.items() if value is not None}
        return self.operations_for({**known, "inventoryQuantity": 0})

    @cached_property
    def _removals(self) -> FeedVariantRemovals:
        return FeedVariantRemovals(self._context)

    @override
    def key_of(self, record: Mapping[str, Any]) -> OperationKey | None:
        feed = self._webhook_hashes.known_feed_id(record.get("inventoryFeedId"))
        if feed is None or not has_value(record, "externalId"):
            return None
        return OperationKey(RESOURCE, feed, "externalId", text_in(record, "externalId"))

    @override
    def batch_limit(self, route: Route) -> int:
        return self._context.batch_size if route.kind == INBOUND else 1

    @override
    def is_queued(self, route: Route) -> bool:
        return route.kind == INBOUND

    @override
    def visibility(self, operation: WriteOperation) -> RowVisibility | None:
        route = operation.route
        if route.kind != INBOUND or route.parent_id is None:
            return None
        feed = ("inventoryFeedId", route.parent_id)
        began = self._began - (UNDER_WAY_MS / 1000 if operation.is_under_way else 0)
        return RowVisibility(self._session, RESOURCE, "externalId", where=(feed,), kinds=self._kinds, began=began)

    @override
    def send(self, operations: Sequence[WriteOperation]) -> None:
        route, payload = operations[0].route, operations[0].payload
        if route.kind == INBOUND:
            self._write_inbound(
                "POST",
                "inventory-feeds/parse-webhooks.json",
                [operation.payload for operation in operations],
                hash_=self._webhook_hashes.feed_hash(route.parent_id),
                owner=f"inventory feed {route.parent_id or ''}".strip(),
            )
        elif route.kind == API_ROW:
            self._write("PUT", f"inventory-feed-variants/{route.row_id}.json", payload)
        else:
            try:
                self._write("PUT", f"inventory-feeds/{route.parent_id}/parse-webhook.json", payload)
            except NotFoundError as error:  # the call adds rows that do not exist, so it is not about the row
                raise SettingsError(f"{self.name}: {error}") from error

    def _update_by_id(
        self, record: Mapping[str, Any], payload: dict[str, Any], *, has_external_id: bool
    ) -> WriteOperation:
        require_content({"id": None, **payload}, "id", *(["externalId"] if has_external_id else []))
        row_id, feed = id_in(record, "id"), self._webhook_hashes.known_feed_id(record.get("inventoryFeedId"))
        if not has_external_id or feed is None:
            return WriteOperation(self, Route(self.name, API_ROW, None, row_id), self._key_of_row(row_id), payload)
        key = OperationKey(RESOURCE, feed, "externalId", text_in(record, "externalId"))
        return WriteOperation(self, Route(self.name, API_ROW, feed, row_id), key, payload)

    def _key_of_row(self, row_id: int) -> OperationKey:
        """The key of a row that a record names by its id: that of its external id, if others are named that way."""
        if self._has_external_ids and self._look_ups > 0:
            self._look_ups -= 1
            try:
                row = self._session.get(f"inventory-feed-variants/{row_id}.json").body
            except NotFoundError:
                row = None  # the response to the update tells
            feed = id_of(row.get("inventoryFeedId")) if isinstance(row, dict) else None
            if feed is not None and row.get("externalId") is not None:
                return OperationKey(RESOURCE, feed, "externalId", str(row["externalId"]))
        else:
            self._has_unknown_rows = True
            if self._has_external_ids:
                self._warn_unknown_rows()
        return OperationKey(RESOURCE, None, "id", row_id)

    def _warn_unknown_rows(self) -> None:
        self._context.profile.warn_once(
            self._context.logger,
            "%s: some records name a row by id and others by externalId. If two of them mean the same row, the order"
            " between them is not guaranteed. Use one of the two in all records.",
            self.name,
        )

    def _route_of(self, feed: Any) -> Route:  # noqa: ANN401 - as it was received
        """The route of a record's feed. It is worked out once for each value that records have there."""
        if feed is not None and isinstance(feed, (list, dict, bool)):  # True would be found as 1
            feed = str(feed)
        route = self._routes.get(feed)
        if route is None:
            route = self._routes[feed] = self._new_route(feed)
        return route

    def _new_route(self, feed: object) -> Route:
        if self._is_file:
            self._webhook_hashes.check_feed_of_file(feed)
            return Route(self.name, FILE)
        feed_id = self._webhook_hashes.feed_id(feed, by_hash=self._is_inbound)
        if self._is_inbound:
            self._webhook_hashes.feed_hash(feed_id)  # so that a record of an unknown feed is rejected now
            return Route(self.name, INBOUND, feed_id)
        self._webhook_hashes.check_feed(feed_id or 0)
        return Route(self.name, API, feed_id)


class FeedVariantRemovals(Action):
    """Removes feed variants by their external ids, one call each. A variant that does not exist counts as removed.

    A 404 alone does not show that: the path may be wrong, and then the run stops.

    Inbound writes are processed later than calls of the API. So the order between a removal and an inbound write of
    the same variant is not guaranteed, not even if they are in different runs.

    How Jetti answers the removal of a variant that does not exist is not documented. So if it refuses a removal, the
    feed is read before the record is rejected: a run that was killed repeats removals.
    """

    name = "inventory_feed_variant_removals"
    title = "Remove inventory feed variants"
    resource = RESOURCE
    has_feed_file = True
    deletions = (REMOVE,)
    schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {"externalId": {"type": "string"}, "inventoryFeedId": _FEED},
        "required": ["externalId"],
    }

    @override
    def operations_for(self, record: Mapping[str, Any]) -> Sequence[WriteOperation]:
        external_id = text_in(record, "externalId")
        if self._context.delivery == FILE:
            self._webhook_hashes.check_feed_of_file(record.get("inventoryFeedId"))
            key = OperationKey(RESOURCE, None, "externalId", external_id)
            return (WriteOperation(self, Route(self.name, FILE_REMOVAL), key, {}),)
        feed = self._webhook_hashes.feed_id(record.get("inventoryFeedId"), by_hash=False)
        self._webhook_hashes.check_feed(feed or 0)
        key = OperationKey(RESOURCE, feed, "externalId", external_id)
        return (WriteOperation(self, Route(self.name, API, feed), key, {"externalId": external_id}),)

    @override
    def _operations_for_deletion(self, record: Mapping[str, Any], how: str) -> Sequence[WriteOperation]:
        return self.operations_for(record)

    @override
    def can_merge(self, earlier: WriteOperation, later: WriteOperation) -> bool:
        return True  # whatever was to be written, the row is removed

    @override
    def send(self, operations: Sequence[WriteOperation]) -> None:
        operation = operations[0]
        error = self._refusal(operation)
        if isinstance(error, NotFoundError) and self._may_exist(operation):
            error = self._refusal(operation)  # it has come meanwhile, out of Jetti's queue
        if error is None:
            return
        if self._may_exist(operation):
            if isinstance(error, NotFoundError) and not error.title:
                text = f"{self.name}: {error} The variant is in the feed, so Jetti does not have this path."
                raise SettingsError(text) from error
            raise error
        self._context.logger.debug("%s: an inventory feed variant to remove did not exist.", self.name)

    def _refusal(self, operation: WriteOperation) -> JettiError | None:
        """Make the call; returns the error if Jetti refuses it, perhaps because there is no such variant."""
        try:
            path = f"inventory-feeds/{operation.route.parent_id}/remove-by-external-id.json"
            self._write("DELETE", path, operation.payload)
        except (NotFoundError, ClientError, ServerError) as error:
            if record_error_of(error) is None:
                raise
            return error
        return None

    def _may_exist(self, operation: WriteOperation) -> bool:
        """Whether the feed has the variant; True also if it cannot be read.

        Raises:
            RetriableError: The look-up may succeed later.
        """
        where = {"inventoryFeedId": operation.route.parent_id, "externalId": operation.payload["externalId"]}
        try:
            rows = self._rows(RESOURCE, (*where, "status"), where)
        except RetriableError:
            raise
        except JettiError:
            return True
        return any(
            row.get("status") != "removed" and all(str(row.get(name)) == str(value) for name, value in where.items())
            for row in rows
        )
