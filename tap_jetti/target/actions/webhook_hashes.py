"""Inventory feeds and channels: whether they exist and take data, and the hashes that identify them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tap_jetti.client.query import select
from tap_jetti.errors import ClientError, NotFoundError, RecordError, UnreliableResponseError
from tap_jetti.target.fields import UnfitError, integer_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_jetti.client.session import JettiSession, Response

PUSHED = "webhook"
"""The resourceType of a feed that takes pushed data."""


@dataclass(frozen=True)
class Known:
    """What the settings say.

    Attributes:
        feed_id: The feed of records that name none.
        feed_hash: Its hash, so that it need not be looked up.
        channel_id: The channel of records that name none.
        channel_hash: Its hash.
    """

    feed_id: int | None = None
    feed_hash: str | None = None
    channel_id: int | None = None
    channel_hash: str | None = None


class WebhookHashes:
    """Looks feeds and channels up with the token, each once a run. Hashes are never logged.

    Args:
        session: What asks Jetti.
        known: What the settings say.
    """

    def __init__(self, session: JettiSession, known: Known) -> None:
        self._session = session
        self._known = known
        self._found: dict[tuple[str, int], Any] = {}
        self._lock = threading.Lock()

    def known_feed_id(self, value: object) -> int | None:
        """The feed of a record, or that of the settings, or None.

        Raises:
            RecordError: It is no id.
        """
        return _id(value, self._known.feed_id, "inventoryFeedId")

    def feed_id(self, value: object, *, by_hash: bool) -> int | None:
        """The feed of a record, or that of the settings; None if its hash will do.

        Raises:
            RecordError: It is no id, or there is neither.
        """
        found = self.known_feed_id(value)
        if found is None and not (by_hash and self._known.feed_hash):
            raise RecordError(
                "inventoryFeedId.missing", "the record names no inventoryFeedId and inventory_feed_id is not set"
            )
        return found

    def channel_id(self, value: object, *, by_hash: bool) -> int | None:
        """The channel of a record, or that of the settings; None if its hash will do.

        Raises:
            RecordError: It is no id, or there is neither.
        """
        found = _id(value, self._known.channel_id, "channelId")
        if found is None and not (by_hash and self._known.channel_hash):
            raise RecordError("channelId.missing", "the record names no channelId and channel_id is not set")
        return found

    def check_feed(self, feed_id: int) -> None:
        """Make sure that a feed exists and takes pushed data.

        Raises:
            RecordError: It does not.
        """
        feed = self._once("feed", feed_id, self._feed)
        if isinstance(feed, RecordError):
            raise RecordError(feed.title, feed.detail, status=feed.status)

    def feed_hash(self, feed_id: int | None) -> str:
        """The hash of a feed that takes pushed data.

        Raises:
            RecordError: There is no such feed, or it takes none, or its hash is not shown.
        """
        if self._known.feed_hash and feed_id == self._known.feed_id:
            return self._known.feed_hash
        self.check_feed(feed_id or 0)
        found = self._found["feed", feed_id or 0].get("hash")
        if not found:
            raise RecordError(
                "inventory_feeds.hash.missing",
                f"Jetti does not show the hash of inventory feed {feed_id}; set inventory_feed_hash",
            )
        return str(found)

    def channel_hash(self, channel_id: int | None) -> str:
        """The hash of a channel.

        Raises:
            RecordError: There is no such channel, or its hash is not shown.
        """
        if self._known.channel_hash and channel_id == self._known.channel_id:
            return self._known.channel_hash
        found = self._once("channel", channel_id or 0, self._channel_hash)
        if not found:
            raise RecordError(
                "channels.hash.missing", f"Jetti shows no hash of channel {channel_id}; set channel_id and channel_hash"
            )
        return str(found)

    def _once(self, kind: str, owner: int, find: Callable[[int], Any]) -> Any:  # noqa: ANN401 - any JSON
        found = self._found.get((kind, owner))
        if found is None:
            with self._lock:
                found = self._found.get((kind, owner))
                if found is None:
                    found = self._found[kind, owner] = find(owner)
        return found

    def _feed(self, feed_id: int) -> dict[str, Any] | RecordError:
        # The hash is documented of the list; whether a feed asked for alone shows it is not known.
        feed = self._listed_feed(feed_id)
        if not feed.get("hash"):
            try:
                feed = {**feed, **_row(self._session.get(f"inventory-feeds/{feed_id}.json"))}
            except NotFoundError as error:
                if not feed:
                    return RecordError(
                        error.title or "inventory_feeds.missing",
                        f"there is no inventory feed {feed_id}",
                        status=error.status,
                    )
        kind = feed.get("resourceType")
        if kind is not None and kind != PUSHED:
            return RecordError(
                "inventory_feeds.resource_type",
                f"inventory feed {feed_id} takes no pushed data: its resourceType is {kind}, set it to {PUSHED}",
            )
        return feed

    def _listed_feed(self, feed_id: int) -> dict[str, Any]:
        try:
            listed = self._session.get("inventory-feeds.json", select(where={"id": feed_id}, limit=10)).body
        except (NotFoundError, ClientError):
            return {}
        rows = listed if isinstance(listed, list) else ()
        return next((row for row in rows if isinstance(row, dict) and str(row.get("id")) == str(feed_id)), {})

    def _channel_hash(self, channel_id: int) -> str:
        # A custom channel has two ids; everything else means its channelId.
        custom = self._session.get("custom-channels.json", select(where={"channelId": channel_id}, limit=10)).body
        for row in custom if isinstance(custom, list) else ():
            if str(row.get("channelId")) == str(channel_id) and row.get("webhookHash"):
                return str(row["webhookHash"])
        try:
            return str(_row(self._session.get(f"channels/{channel_id}.json")).get("hash") or "")
        except NotFoundError:
            return ""


def _row(answer: Response) -> dict[str, Any]:
    if not isinstance(answer.body, dict):
        raise UnreliableResponseError(f"Jetti gave {type(answer.body).__name__} for one inventory feed or channel.")
    return answer.body


def _id(value: object, default: int | None, field: str) -> int | None:
    if value is None or value == "":
        return default
    try:
        return integer_of(value)
    except UnfitError:
        raise RecordError(f"{field}.invalid", f"{field} must be an integer") from None
