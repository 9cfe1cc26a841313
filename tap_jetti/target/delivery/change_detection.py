"""What Jetti has in its inventory feeds now, so that only what differs is sent."""

from __future__ import annotations

import sqlite3
import weakref
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import msgspec

from tap_jetti.reading.keyset import FullRead
from tap_jetti.reading.pages import Projection, ResourcePages
from tap_jetti.target.fields import OWN_FIELDS, comparable, kinds

if TYPE_CHECKING:
    import logging
    from collections.abc import Collection, Iterable, Mapping

    from tap_jetti.client.session import JettiSession
    from tap_jetti.reading.server_profile import ServerProfile

RESOURCE = "inventory_feed_variants"
QUANTITY = "inventoryQuantity"

CACHE_KIB = 16_384
"""Memory that the table of rows takes at most; the rest of it is in a temporary file."""

PAGE_SIZE = 100


@dataclass(frozen=True)
class Difference:
    """How a payload differs from the row that Jetti has.

    Attributes:
        is_new: Whether there is no such row.
        is_changed: Whether any of its fields differs, or it is new.
        quantity: By how much the inventory changes, either way.
    """

    is_new: bool
    is_changed: bool
    quantity: Decimal


class ChangeDetector:
    """Reads each feed once, when it is first asked for, by keyset.

    The rows go to a temporary SQLite file, which is gone with the process however it ends: of each
    field that is compared the short form of `comparable`, about 100 bytes a row, so that a feed of
    a million variants needs a fixed 16 MiB of memory. Only the thread of the input uses it.

    Of a row that is going to be sent all values but the quantity are forgotten: what comes for it
    later in the run is sent too, whatever became of the first.

    Args:
        session: What reads.
        profile: What is known of the server.
        logger: Where the reader reports.
    """

    def __init__(self, session: JettiSession, *, profile: ServerProfile, logger: logging.Logger) -> None:
        self._session = session
        self._traits = profile
        self._logger = logger
        self._kinds = kinds(RESOURCE)
        self._places: dict[int, dict[str, int]] = {}
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(list[Any] | str).decode
        # Any thread may be the one that collects it, if nobody closes it.
        self._table = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self._table.close)
        self._table.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        self._table.execute("PRAGMA journal_mode = OFF")
        self._table.execute("PRAGMA synchronous = OFF")
        self._table.execute(
            "CREATE TABLE rows (feed INTEGER, external_id TEXT, row_values BLOB,"
            " PRIMARY KEY (feed, external_id)) WITHOUT ROWID"
        )

    def difference(
        self, feed: int, external_id: str, payload: Mapping[str, Any], fields: Collection[str]
    ) -> Difference:
        """Compare a payload with the feed's row, and forget the row if they differ.

        Args:
            feed: The feed's id.
            external_id: The variant's external id.
            payload: What would be sent; only its fields are compared.
            fields: Fields to read, should the feed not have been read yet.

        Raises:
            RequestError: The feed cannot be read.
        """
        places = self._places.get(feed)
        if places is None:
            places = self._read(feed, {*fields, *payload})
        found = self._table.execute(
            "SELECT row_values FROM rows WHERE feed = ? AND external_id = ?", (feed, external_id)
        ).fetchone()
        if found is None:
            return Difference(is_new=True, is_changed=True, quantity=_change(payload, None))
        values = self._decode(found[0]) if found[0] else "0"
        if isinstance(values, str):
            return Difference(is_new=False, is_changed=True, quantity=_change(payload, values))
        if all(self._same(name, value, places, values) for name, value in payload.items()):
            return Difference(is_new=False, is_changed=False, quantity=Decimal(0))
        before = values[places[QUANTITY]] if QUANTITY in places else None
        self._table.execute(
            "UPDATE rows SET row_values = ? WHERE feed = ? AND external_id = ?",
            (self._encode(str(before)), feed, external_id),
        )
        return Difference(is_new=False, is_changed=True, quantity=_change(payload, before))

    def forget(self, feed: int, external_id: str) -> None:
        """Take note that this run changes a row otherwise: what comes for it later is sent, whatever it is.

        Args:
            feed: The feed's id, whether it was read or not.
            external_id: The variant's external id.
        """
        self._table.execute("INSERT OR REPLACE INTO rows VALUES (?, ?, NULL)", (feed, external_id))

    def close(self) -> None:
        """Give up the table."""
        self._table.close()

    def _same(self, name: str, value: object, places: Mapping[str, int], values: list[Any]) -> bool:
        place = places.get(name)
        if place is None:
            if name != "externalId":
                self._traits.warn_once(
                    self._logger,
                    "%s was announced by no SCHEMA before its feed was read: records that have it are all sent.",
                    name,
                )
            return name == "externalId"
        return bool(values[place] == comparable(self._kinds[name], value))

    def _read(self, feed: int, fields: Iterable[str]) -> dict[str, int]:
        names = sorted({*fields, QUANTITY} & self._kinds.keys() - OWN_FIELDS - {"externalId", "inventoryFeedId"})
        source = ResourcePages(
            self._session,
            RESOURCE,
            page_size=PAGE_SIZE,
            projection=Projection(("id", "externalId", "inventoryFeedId", *names)),
            profile=self._traits,
            logger=self._logger,
            where={"inventoryFeedId": feed},
        )
        count = 0
        for rows in FullRead(source, verify_counts=True, logger=self._logger).pages():
            count += len(rows)
            self._table.execute("BEGIN")
            self._table.executemany(
                "INSERT INTO rows VALUES (?, ?, ?) ON CONFLICT DO"
                " UPDATE SET row_values = excluded.row_values WHERE row_values NOT NULL",
                [
                    (
                        feed,
                        str(row["externalId"]),
                        self._encode([comparable(self._kinds[name], row.get(name)) for name in names]),
                    )
                    for row in rows
                    # A server that filters otherwise than asked must not pass another feed's row for this one's.
                    if row.get("externalId") is not None and str(row.get("inventoryFeedId") or feed) == str(feed)
                ],
            )
            self._table.execute("COMMIT")
        self._logger.info("Inventory feed %d has %d variants now; only differences are sent.", feed, count)
        self._places[feed] = {name: place for place, name in enumerate(names)}
        return self._places[feed]


def _change(payload: Mapping[str, Any], before: object) -> Decimal:
    """By how much a payload changes the inventory, either way."""
    return abs(_number(payload[QUANTITY]) - _number(before)) if QUANTITY in payload else Decimal(0)


def _number(value: object) -> Decimal:
    try:
        return Decimal(str(value)) if value is not None else Decimal(0)
    except InvalidOperation:
        return Decimal(0)
