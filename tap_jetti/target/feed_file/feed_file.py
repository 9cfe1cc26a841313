"""The pull feed: all variants that came, in one file, in the order of their external ids."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import weakref
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tap_jetti.errors import RecordError
from tap_jetti.facts.json_codec import encode_json
from tap_jetti.target.delivery.intake import COMPARED
from tap_jetti.target.feed_file.formats import FORMATS, check_xml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_jetti.target.delivery.checkpoints import Checkpoint
    from tap_jetti.target.delivery.operations import Record, WriteOperation
    from tap_jetti.target.delivery.outcomes import Outcomes
    from tap_jetti.target.feed_file.location import FeedLocation

CACHE_KIB = 16_384
"""Memory that the collected rows take at most; the rest of them is in a temporary file."""


class FeedFile:
    """Collects items on disk, so that a million variants need little memory, and writes them at the end.

    The last record of an external id wins, whole. Only at the end of a complete input is the file
    replaced, and only then are the records settled: after anything else the old one stays.

    Args:
        place: Where it goes.
        form: csv, json or xml.
        outcomes: Where records are settled.
    """

    def __init__(self, place: FeedLocation, form: str, outcomes: Outcomes) -> None:
        self._place = place
        self._form = form
        self._outcomes = outcomes
        self._columns: set[str] = set()
        self._waiting: Counter[Checkpoint] = Counter()
        self._decode = msgspec.json.Decoder(float_hook=Decimal).decode
        # Any thread may be the one that collects it, if nobody closes it.
        self._table = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self._table.close)
        self._table.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        self._table.execute("PRAGMA journal_mode = OFF")
        self._table.execute("CREATE TABLE rows (external_id TEXT PRIMARY KEY, body BLOB) WITHOUT ROWID")
        self._table.execute("BEGIN")

    def add(self, operation: WriteOperation) -> bool:
        """Take an item.

        Raises:
            RecordError: The format cannot hold it, and the run is to stop at a reject.
        """
        external_id = str(operation.key[-1])
        if self._form == "xml":
            try:
                check_xml(operation.payload)
            except RecordError as refusal:
                self._outcomes.rejected(operation.origins, refusal, which=external_id)
                return True
        self._columns |= operation.payload.keys()
        self._waiting.update(origin.checkpoint for origin in operation.origins)
        body = encode_json(operation.payload)
        self._table.execute("INSERT OR REPLACE INTO rows VALUES (?, ?)", (external_id, body))
        return True

    def finish(self) -> None:
        """Write the file and settle what is in it.

        Raises:
            OSError: It cannot be written.
        """
        columns = ["externalId", *sorted(self._columns - {"externalId"})]
        with tempfile.TemporaryDirectory(prefix="target-jetti-") as directory:
            path = Path(directory, "feed")
            with path.open("wb") as file:
                file.writelines(FORMATS[self._form](self._rows(), columns))
                file.flush()
                os.fsync(file.fileno())
            self._place.put(path)
        self._outcomes.placed(COMPARED, self._waiting)

    def close(self) -> None:
        """Give up what was collected."""
        self._table.close()

    def _rows(self) -> Iterator[Record]:
        for (body,) in self._table.execute("SELECT body FROM rows ORDER BY external_id"):
            row: Record = self._decode(body)
            yield row
