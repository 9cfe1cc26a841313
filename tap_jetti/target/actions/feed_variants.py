"""Inventory feed variants: updated or added by external id within a feed, and removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_jetti.errors import ClientError, JettiError, NotFoundError, RecordError, ServerError
from tap_jetti.facts import resources
from tap_jetti.target.actions.action import Action, ActionContext, Draft, holds, id_in, text_in
from tap_jetti.target.actions.visible_rows import InOneRow
from tap_jetti.target.delivery.record_errors import MissingKeyError, record_error_of
from tap_jetti.target.fields import Fields

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tap_jetti.target.delivery.operations import Route, WriteOperation

RESOURCE = "inventory_feed_variants"

_FEED = {"type": ["integer", "null"], "description": "The feed. Wins over the setting inventory_feed_id."}


class FeedVariants(Action):
    """Sends inventory: arrays of up to 50 inbound, or one by one through the API.

    A record with an ``id`` and no ``externalId`` goes to the row of that id through the API, also
    with ``delivery: inbound``; with ``delivery: api`` so does one that has both. A feed file has
    no place for it, nor for records of a second feed: one file is one feed.

    Name a row in one way within a run: nothing tells that an ``id`` alone and an ``externalId``
    alone mean the same one, so neither their order nor a change by the other is known.
    """

    name = "inventory_feed_variants"
    title = "Add or update inventory feed variants"
    resource = RESOURCE
    is_partial = True

    def __init__(self, context: ActionContext) -> None:
        super().__init__(context)
        self._is_inbound = context.delivery == "inbound"
        self._fields = Fields(RESOURCE, leave_out=frozenset({"inventoryFeedId"}))
        self._kinds = tuple(self._fields.kinds.items())
        self._lanes: dict[Any, Route] = {}
        self._feed_of_file: int | None = None

    @classmethod
    @override
    def record_schema(cls) -> dict[str, Any]:
        whole = resources.schema(RESOURCE)
        return {
            **whole,
            "properties": {**whole["properties"], "inventoryFeedId": _FEED},
            "anyOf": [{"required": ["externalId"]}, {"required": ["id"]}],
        }

    @override
    def drafts(self, record: Mapping[str, Any]) -> Sequence[Draft]:
        payload, unknown = self._fields.project(record)
        if unknown:
            self._note_unknown(unknown)
        has_external_id = holds(record, "externalId")
        is_file = self._around.delivery == "file"
        if holds(record, "id") and not is_file and not (has_external_id and self._is_inbound):
            row, feed = id_in(record, "id"), self._owners.known_feed_id(record.get("inventoryFeedId"))
            known = has_external_id and feed is not None
            key = (RESOURCE, feed, text_in(record, "externalId")) if known else (self.name, "id", row)
            return (Draft((self.name, "id", feed if known else None, row), key, payload),)
        if not has_external_id:
            raise MissingKeyError("externalId.missing", "externalId is missing, and there is no id to write to")
        external_id = text_in(record, "externalId")
        payload["externalId"] = external_id
        if is_file:
            self._check_one_feed(record.get("inventoryFeedId"))
            return (Draft((self.name, "file", None), (self.name, external_id), payload),)
        route = self._lane_of(record.get("inventoryFeedId"))
        return (Draft(route, (RESOURCE, route[2], external_id), payload),)

    def _check_one_feed(self, value: object) -> None:
        """Refuse a record of another feed than the file's: the one of the settings, or else of the first record.

        Raises:
            RecordError: It is of another feed.
        """
        feed = self._owners.known_feed_id(value)
        if feed is None:
            return
        self._feed_of_file = self._feed_of_file or self._owners.known_feed_id(None) or feed
        if feed != self._feed_of_file:
            raise RecordError(
                "inventoryFeedId.mixed",
                f"a feed file is of one inventory feed, {self._feed_of_file}, and the record is of {feed}",
            )

    def _lane_of(self, value: Any) -> Route:  # noqa: ANN401 - as it came
        """The lane of a record's feed, which is looked up once for each way that records write it."""
        if isinstance(value, (list, dict, bool)):  # True would be found as 1
            value = str(value)
        route = self._lanes.get(value)
        if route is None:
            feed = self._owners.feed_id(value, by_hash=self._is_inbound)
            if self._is_inbound:
                self._owners.feed_hash(feed)
            else:
                self._owners.check_feed(feed or 0)
            route = self._lanes[value] = (self.name, self._around.delivery, feed)
        return route

    @override
    def limit(self, route: Route) -> int:
        return self._around.batch_size if route[1] == "inbound" else 1

    @override
    def effect(self, operation: WriteOperation) -> InOneRow | None:
        if operation.route[1] != "inbound" or operation.route[2] is None:
            return None
        return InOneRow(self._session, RESOURCE, "externalId", (("inventoryFeedId", operation.route[2]),), self._kinds)

    @override
    def send(self, operations: Sequence[WriteOperation]) -> None:
        way, feed, *row = operations[0].route[1:]
        if way == "inbound":
            self._write_inbound(
                "POST",
                "inventory-feeds/parse-webhooks.json",
                [operation.payload for operation in operations],
                hash_=self._owners.feed_hash(feed),  # type: ignore[arg-type]
                owner=f"inventory feed {feed or ''}".strip(),
            )
        elif way == "id":
            self._write("PUT", f"inventory-feed-variants/{row[0]}.json", operations[0].payload)
        else:
            self._write("PUT", f"inventory-feeds/{feed}/parse-webhook.json", operations[0].payload)


class FeedVariantRemovals(Action):
    """Removes feed variants by their external ids, one call each. One that is gone already is done.

    What was sent inbound shortly before is applied later, and the variant is back: neither in one
    run nor in two does the order of sending tell which of them wins.

    What Jetti answers to a removal of what is gone is documented nowhere. It may refuse it, so the
    feed is looked at before such a refusal counts: a run that was killed removes again what it removed.
    """

    name = "inventory_feed_variant_removals"
    title = "Remove inventory feed variants"
    resource = RESOURCE
    record: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {"externalId": {"type": "string"}, "inventoryFeedId": _FEED},
        "required": ["externalId"],
    }

    @override
    def drafts(self, record: Mapping[str, Any]) -> Sequence[Draft]:
        self._note_others(record)
        external_id = text_in(record, "externalId")
        feed = self._owners.feed_id(record.get("inventoryFeedId"), by_hash=False)
        self._owners.check_feed(feed or 0)
        return (Draft((self.name, feed), (RESOURCE, feed, external_id), {"externalId": external_id}),)

    @override
    def send(self, operations: Sequence[WriteOperation]) -> None:
        path = f"inventory-feeds/{operations[0].route[1]}/remove-by-external-id.json"
        try:
            self._write("DELETE", path, operations[0].payload)
        except NotFoundError:
            self._note_gone()
        except (ClientError, ServerError) as error:
            if record_error_of(error) is None or self._may_be_there(operations[0]):
                raise
            self._note_gone()

    def _may_be_there(self, operation: WriteOperation) -> bool:
        """Whether the feed has the row of a removal. It also has it if nobody can tell."""
        where = {"inventoryFeedId": operation.route[1], "externalId": operation.payload["externalId"]}
        try:
            rows = self._rows(RESOURCE, (*where, "status"), where)
        except JettiError:
            return True
        return any(
            row.get("status") != "removed" and all(str(row.get(name)) == str(value) for name, value in where.items())
            for row in rows
        )

    def _note_gone(self) -> None:
        self._around.logger.debug("An inventory feed variant to remove was gone already.")
