"""The feed file: all variants of the input in one file that Jetti fetches, in the order of their external ids."""

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
from tap_jetti.target.feed_file.formats import FORMATS, check_xml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_jetti.target.delivery.checkpoints import Checkpoint
    from tap_jetti.target.delivery.operations import OperationKey, Record, WriteOperation
    from tap_jetti.target.delivery.outcomes import Outcomes
    from tap_jetti.target.feed_file.location import FeedLocation

CACHE_KIB = 16_384
"""The largest amount of memory for the collected rows; the rest of them is in a temporary file."""


class FeedFile:
    """Collects operations on disk, so that a million variants need little memory, and writes the file at the end.

    The last record of an external id replaces earlier ones as a whole. The file is replaced, and its records are
    done, only at the end of a complete input; otherwise the old file stays.

    Args:
        location: Where the file is written.
        feed_format: A key of `FORMATS`.
        action: The name of the action whose records the file holds.
        outcomes: What is told of the records.
    """

    def __init__(self, location: FeedLocation, feed_format: str, *, action: str, outcomes: Outcomes) -> None:
        self._location = location
        self._format = feed_format
        self._action = action
        self._outcomes = outcomes
        self._columns: set[str] = set()
        self._checkpoints: Counter[Checkpoint] = Counter()
        self._decode = msgspec.json.Decoder(float_hook=Decimal).decode
        # Any thread may be the one that collects it, if nobody closes it.
        self._table = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self._table.close)
        self._table.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        self._table.execute("PRAGMA journal_mode = OFF")
        self._table.execute("CREATE TABLE rows (external_id TEXT PRIMARY KEY, body BLOB) WITHOUT ROWID")
        self._table.execute("BEGIN")

    def add(self, operation: WriteOperation) -> bool:
        """Add an operation.

        Raises:
            RecordError: The format cannot hold it, and the run stops at the first rejected record.
        """
        if self._format == "xml":
            try:
                check_xml(operation.payload)
            except RecordError as error:
                self._outcomes.mark_rejected(operation, error)
                return True
        self._columns |= operation.payload.keys()
        self._checkpoints.update(origin.checkpoint for origin in operation.origins)
        body = encode_json(operation.payload)
        self._table.execute("INSERT OR REPLACE INTO rows VALUES (?, ?)", (str(operation.key.value), body))
        return True

    def has(self, key: OperationKey) -> bool:  # noqa: ARG002 - a file takes everything at once
        """Whether an operation of a key is not done yet."""
        return False

    def merge(self, operation: WriteOperation) -> bool:  # noqa: ARG002 - a later row replaces an earlier one
        """Merge an operation into one that waits."""
        return False

    def finish(self) -> None:
        """Write the file, and mark its records as done.

        Raises:
            OSError: The file cannot be written.
        """
        columns = ["externalId", *sorted(self._columns - {"externalId"})]
        with tempfile.TemporaryDirectory(prefix="target-jetti-") as directory:
            path = Path(directory, "feed")
            with path.open("wb") as file:
                file.writelines(FORMATS[self._format](self._rows(), columns))
                file.flush()
                os.fsync(file.fileno())
            self._location.put(path)
        ((rows,),) = self._table.execute("SELECT count(*) FROM rows")
        self._outcomes.mark_in_file(self._action, self._checkpoints, rows=rows)

    def close(self) -> None:
        """Delete the collected rows."""
        self._table.close()

    def _rows(self) -> Iterator[Record]:
        for (body,) in self._table.execute("SELECT body FROM rows ORDER BY external_id"):
            row: Record = self._decode(body)
            yield row
