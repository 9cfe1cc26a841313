"""The feed file: the whole inventory in one file that Jetti fetches, in the order of external ids."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tap_jetti.errors import DamagedStoreError, FeedConflictError, RecordError
from tap_jetti.target.actions.routes import FILE_REMOVAL
from tap_jetti.target.feed_file.formats import FORMATS, check_xml
from tap_jetti.target.feed_file.inventory_store import Change, InventoryStore
from tap_jetti.target.feed_file.location import feed_file_error
from tap_jetti.target.feed_file.written_file import WrittenFile

if TYPE_CHECKING:
    import logging
    from pathlib import Path

    from tap_jetti.target.delivery.checkpoints import Checkpoint
    from tap_jetti.target.delivery.operations import OperationKey, WriteOperation
    from tap_jetti.target.delivery.outcomes import Outcomes
    from tap_jetti.target.feed_file.location import FeedLocation

REPLACE, MERGE = "replace", "merge"
"""The values of the setting feed_mode: the input is the whole inventory, or what changed since the last run."""

_OUTCOMES = {Change.UNCHANGED: "unchanged", Change.MERGED: "merged"}
_RENEW = "Run once with feed_mode replace and the whole inventory as input."
_PERCENT = 100


@dataclass(frozen=True)
class FeedPolicy:
    """How the file is written, as the settings say.

    Attributes:
        feed_format: A key of `FORMATS`.
        mode: `REPLACE` or `MERGE`.
        shrink_percent: The largest share of its rows that the file may lose in one run.
        dry_run: Whether nothing is written.
    """

    feed_format: str
    mode: str
    shrink_percent: float
    dry_run: bool = False


class FeedFile:
    """Takes operations into the store of the inventory, and writes the file at the end of a complete input.

    Nothing is visible before that: a run that ends early leaves the file and the store as they were. The store is
    committed just before the file takes its place, and knows the digests of both, so it fits whichever is there after
    a kill. Records are done when the file is in its place.

    Args:
        location: Where the file is written.
        store_path: The SQLite file of the inventory.
        policy: How it is written.
        held: The first checkpoint, with one record added: it holds every STATE back until the file is in its place.
        outcomes: What is told of the records.
        logger: For the figures of the file.
    """

    def __init__(
        self,
        location: FeedLocation,
        store_path: Path,
        policy: FeedPolicy,
        *,
        held: Checkpoint,
        outcomes: Outcomes,
        logger: logging.Logger,
    ) -> None:
        self._location = location
        self._store_path = store_path
        self._policy = policy
        self._outcomes = outcomes
        self._logger = logger
        self._store: InventoryStore | None = None
        self._before: WrittenFile | None = None
        self._rows_before = 0
        self._changes: Counter[str] = Counter()
        self._checkpoints: Counter[Checkpoint] = Counter([held])
        self._figures: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def open(self) -> None:
        """Read the file that is there, and lock the store, before any input is read.

        Raises:
            FeedFileError: The place cannot be used, or its file is not the one that the store knows.
            StoreError: The store cannot be used.
        """
        is_merge = self._policy.mode == MERGE
        store = self._store = self._open_store()
        before = self._before = WrittenFile.at(self._location)
        known = None if before is None else store.rows_of_file(before.digest)
        if before is None:
            self._rows_before = store.rows_of_last_file if is_merge else 0
        elif known is not None:
            self._rows_before = known
        elif is_merge:
            cause = "was changed by something else since" if store.rows_of_last_file else "is not known here"
            raise FeedConflictError(
                f"The feed file {self._location.name} {cause}, so the input cannot be merged into it. {_RENEW}"
            )
        elif before.rows is not None:
            self._rows_before = before.rows
        elif self._policy.shrink_percent < _PERCENT:
            raise FeedConflictError(
                f"The rows of the feed file {self._location.name} cannot be counted, so it is not known how many would"
                " be lost. Delete it, or run once with feed_shrink_percent 100."
            )
        store.begin(keep_rows=is_merge and before is not None)

    def add(self, operation: WriteOperation) -> bool:
        """Add an operation.

        Raises:
            RecordError: The format cannot hold it, and the run stops at the first rejected record.
            StoreError: The store failed.
        """
        key = str(operation.key.value)
        if operation.route.kind == FILE_REMOVAL:
            is_removed = self._opened.remove(key)
            self._changes["removed"] += is_removed
            self._count(operation, Change.CHANGED if is_removed else Change.UNCHANGED)
        else:
            if self._policy.feed_format == "xml":
                try:
                    check_xml(operation.payload)
                except RecordError as error:
                    self._outcomes.mark_rejected(operation, error)
                    return True
            change = self._opened.put(key, operation.payload)
            self._changes[change.name.lower()] += 1
            self._count(operation, change)
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
            FeedFileError: It cannot be written, or would lose too many rows.
            StoreError: The store failed.
        """
        store, policy = self._opened, self._policy
        self._changes["removed"] += store.drop_unmentioned()
        rows = store.count()
        self._check_shrinkage(rows)
        if not policy.dry_run:
            with self._location.staging() as staged:
                digest = self._write(staged)
                before = None if self._before is None else self._before.digest
                if digest != before:
                    store.announce(digest, rows, before=before)
                    self._location.put(staged)
                    store.settle(digest)
        self._logger.info(
            "Feed file %s: %s%d rows (%d before): %d added, %d changed, %d removed.",
            self._location.name,
            "would have " if policy.dry_run else "",
            rows,
            self._rows_before,
            *(self._changes[name] for name in ("added", "changed", "removed")),
        )
        self.leave()

    def leave(self) -> None:
        """Mark the records as done: the file is as they say."""
        self._outcomes.mark_in_file(self._checkpoints, self._figures)

    def close(self) -> None:
        """Close the store. Without `finish` it is as it was before the run."""
        if self._store is not None:
            self._store.close()

    def _count(self, operation: WriteOperation, change: Change) -> None:
        self._checkpoints.update(origin.checkpoint for origin in operation.origins)
        figures = self._figures[operation.origins[0].input_stream.action.name]
        figures[_OUTCOMES.get(change, "accepted")] += 1
        if change is not Change.CHANGED:  # as which it was counted before it came here
            figures["changed"] -= 1
            figures["added"] += change is Change.ADDED

    @property
    def _opened(self) -> InventoryStore:
        if self._store is None:
            raise FeedConflictError("The feed file was not opened.")
        return self._store

    def _open_store(self) -> InventoryStore:
        """Open the store. One that is damaged is renewed where the input is the whole inventory."""
        path, is_dry = self._store_path, self._policy.dry_run
        try:
            return InventoryStore(None if is_dry and not path.exists() else path)
        except DamagedStoreError:
            if self._policy.mode != REPLACE:
                raise
        self._logger.warning("The store of the feed file %s is damaged. It is made anew.", path)
        if is_dry:
            return InventoryStore(None)
        path.unlink()
        return InventoryStore(path)

    def _check_shrinkage(self, rows: int) -> None:
        """Check that the file stays an inventory: Jetti takes a variant that is not in it for gone.

        Raises:
            FeedConflictError: The file would become empty, or lose more rows than allowed.
        """
        name, before, allowed = self._location.name, self._rows_before, self._policy.shrink_percent
        if not rows:
            raise FeedConflictError(
                f"The feed file {name} would become empty ({before} rows before), so it was not written: Jetti takes"
                " what is not in it for gone. Check the input. To empty it on purpose, delete the file."
            )
        if (before - rows) * _PERCENT > allowed * before:
            raise FeedConflictError(
                f"The feed file {name} would shrink from {before} to {rows} rows, more than feed_shrink_percent"
                f" ({allowed:g}) allows, so it was not written. Check that the input fits feed_mode"
                f" {self._policy.mode}; if it does, raise feed_shrink_percent for one run."
            )

    def _write(self, staged: Path) -> str:
        """Write all rows to a file, down to the disk; returns its digest."""
        digest, store = hashlib.sha256(), self._opened
        columns = ["externalId", *sorted(store.columns - {"externalId"})]
        try:
            with closing(store.rows()) as rows, staged.open("wb") as file:
                for line in FORMATS[self._policy.feed_format](rows, columns):
                    digest.update(line)
                    file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise feed_file_error(self._location.name, error) from error
        return digest.hexdigest()
