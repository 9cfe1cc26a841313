"""Inventory feeds and channels: whether they exist and accept data, and their webhook hashes."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tap_jetti.client.query import select
from tap_jetti.errors import ClientError, NotFoundError, RecordError, SettingsError, UnreliableResponseError
from tap_jetti.target.fields import id_of, invalid

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_jetti.client.session import JettiSession

WEBHOOK_FEED = "webhook"
"""The resourceType of a feed that accepts inbound data."""


@dataclass(frozen=True)
class Defaults:
    """The feed and the channel of the settings.

    Attributes:
        feed_id: The feed of records without ``inventoryFeedId``.
        feed_hash: Its hash; None looks it up.
        channel_id: The channel of records without ``channelId``.
        channel_hash: Its hash; None looks it up.
    """

    feed_id: int | None = None
    feed_hash: str | None = None
    channel_id: int | None = None
    channel_hash: str | None = None


class WebhookHashes:
    """Looks up feeds and channels, each once per run. Hashes are never logged. Thread-safe.

    Args:
        session: Sends requests.
        defaults: The feed and the channel of the settings.
    """

    def __init__(self, session: JettiSession, defaults: Defaults) -> None:
        self._session = session
        self._defaults = defaults
        self._feed_of_file: int | None = None
        self._found: dict[tuple[str, int], Any] = {}
        self._lock = threading.Lock()

    def known_feed_id(self, value: object) -> int | None:
        """Return the feed of a record, or that of the settings, or None.

        Args:
            value: The record's ``inventoryFeedId``.

        Raises:
            RecordError: It is not an integer.
        """
        return _id(value, self._defaults.feed_id, "inventoryFeedId")

    def feed_id(self, value: object, *, by_hash: bool) -> int | None:
        """Return the feed of a record, or that of the settings; None if only the hash of the settings is known.

        Args:
            value: The record's ``inventoryFeedId``.
            by_hash: Whether the hash of the settings is enough.

        Raises:
            RecordError: It is not an integer, or no feed is given.
        """
        found = self.known_feed_id(value)
        if found is None and not (by_hash and self._defaults.feed_hash):
            raise RecordError(
                "inventoryFeedId.missing", "the record has no inventoryFeedId, and inventory_feed_id is not set"
            )
        return found

    def check_feed_of_file(self, value: object) -> None:
        """Check that a record is of the file's feed: the feed of the settings, or else that of the first record.

        Args:
            value: The record's ``inventoryFeedId``.

        Raises:
            RecordError: It is of another feed.
        """
        feed_id = self.known_feed_id(value)
        if feed_id is None:
            return
        self._feed_of_file = self._feed_of_file or self.known_feed_id(None) or feed_id
        if feed_id != self._feed_of_file:
            raise RecordError(
                "inventoryFeedId.mixed",
                f"the feed file is for inventory feed {self._feed_of_file}, but the record is for {feed_id}",
            )

    def channel_id(self, value: object, *, by_hash: bool) -> int | None:
        """Return the channel of a record, or that of the settings; None if only the hash of the settings is known.

        Args:
            value: The record's ``channelId``.
            by_hash: Whether the hash of the settings is enough.

        Raises:
            RecordError: It is not an integer, or no channel is given.
        """
        found = _id(value, self._defaults.channel_id, "channelId")
        if found is None and not (by_hash and self._defaults.channel_hash):
            raise RecordError("channelId.missing", "the record has no channelId, and channel_id is not set")
        return found

    def check_feed(self, feed_id: int) -> None:
        """Check that a feed exists and accepts inbound data.

        Raises:
            SettingsError: It does not, and it is the feed of the settings.
            RecordError: It does not, and it is the feed of a record.
        """
        feed = self._cached("feed", feed_id, self._find_feed)
        if isinstance(feed, RecordError):
            if feed_id == self._defaults.feed_id:
                raise SettingsError(f"inventory_feed_id {feed_id} cannot be used: {feed.detail}.")
            raise RecordError(feed.title, feed.detail, status=feed.status)

    def feed_hash(self, feed_id: int | None) -> str:
        """Return the hash of a feed that accepts inbound data.

        Raises:
            SettingsError: It is the feed of the settings, and it does not exist or accepts no inbound data, or Jetti
                does not show its hash.
            RecordError: The same of the feed of a record.
        """
        if self._defaults.feed_hash and feed_id == self._defaults.feed_id:
            return self._defaults.feed_hash
        self.check_feed(feed_id or 0)
        found = self._found["feed", feed_id or 0].get("hash")
        if not found:
            detail = f"Jetti does not show the hash of inventory feed {feed_id}; set inventory_feed_hash"
            if feed_id == self._defaults.feed_id:
                raise SettingsError(f"{detail}.")
            raise RecordError("inventory_feeds.hash.missing", detail)
        return str(found)

    def channel_hash(self, channel_id: int | None) -> str:
        """Return the hash of a channel.

        Raises:
            SettingsError: It is the channel of the settings, and it does not exist, or Jetti does not show its hash.
            RecordError: The same of the channel of a record.
        """
        if self._defaults.channel_hash and channel_id == self._defaults.channel_id:
            return self._defaults.channel_hash
        found = self._cached("channel", channel_id or 0, self._find_channel_hash)
        if not found:
            detail = f"Jetti shows no hash of channel {channel_id}; set channel_id and channel_hash"
            if channel_id == self._defaults.channel_id:
                raise SettingsError(f"{detail}. A custom channel has two ids: channel_id is its channelId.")
            raise RecordError("channels.hash.missing", detail)
        return str(found)

    def _cached(self, kind: str, owner_id: int, find: Callable[[int], Any]) -> Any:  # noqa: ANN401 - any JSON
        found = self._found.get((kind, owner_id))
        if found is None:
            with self._lock:
                found = self._found.get((kind, owner_id))
                if found is None:
                    found = self._found[kind, owner_id] = find(owner_id)
        return found

    def _find_feed(self, feed_id: int) -> dict[str, Any] | RecordError:
        # That the list shows the hash is documented; whether a single feed does is not.
        feed = self._find_feed_in_list(feed_id)
        if not feed.get("hash"):
            try:
                feed = {**feed, **self._row("inventory-feeds", feed_id)}
            except NotFoundError as error:
                if not feed:
                    return RecordError(
                        error.title or "inventory_feeds.missing",
                        f"inventory feed {feed_id} does not exist",
                        status=error.status,
                    )
        kind = feed.get("resourceType")
        if kind is not None and kind != WEBHOOK_FEED:
            return RecordError(
                "inventory_feeds.resource_type",
                f"inventory feed {feed_id} accepts no inbound data:"
                f" its resourceType is {kind}; set it to {WEBHOOK_FEED}",
            )
        return feed

    def _find_feed_in_list(self, feed_id: int) -> dict[str, Any]:
        try:
            listed = self._session.get("inventory-feeds.json", select(where={"id": feed_id}, limit=10)).body
        except (NotFoundError, ClientError):
            return {}
        rows = listed if isinstance(listed, list) else ()
        return next((row for row in rows if isinstance(row, dict) and str(row.get("id")) == str(feed_id)), {})

    def _find_channel_hash(self, channel_id: int) -> str:
        # A custom channel has two ids. Everything but its own path refers to it by its channelId.
        custom = self._session.get("custom-channels.json", select(where={"channelId": channel_id}, limit=10)).body
        for row in custom if isinstance(custom, list) else ():
            if isinstance(row, dict) and str(row.get("channelId")) == str(channel_id) and row.get("webhookHash"):
                return str(row["webhookHash"])
        try:
            return str(self._row("channels", channel_id).get("hash") or "")
        except NotFoundError:
            return ""

    def _row(self, resource: str, row_id: int) -> dict[str, Any]:
        """The row of an id. Data must not go to another one."""
        path = f"{resource}/{row_id}.json"
        row = self._session.get(path).body
        if not isinstance(row, dict) or str(row.get("id", row_id)) != str(row_id):
            raise UnreliableResponseError(
                f"Jetti did not return what was asked for (GET {path}): expected the object with the id {row_id}."
                " Run again. If it fails again, tell Jetti's support."
            )
        return row


def _id(value: object, default: int | None, field: str) -> int | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return default
    found = id_of(value)
    if found is None:
        raise invalid("", field, "a positive integer", value)
    return found
