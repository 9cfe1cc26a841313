"""The account that the sandbox serves: its rows, its clock and its changes."""

from __future__ import annotations

import heapq
import json
import random
from typing import TYPE_CHECKING, Any

from tap_jetti.facts import resources
from tap_jetti.sandbox.data import documents, models, timestamps
from tap_jetti.sandbox.data.database import Database, Row
from tap_jetti.sandbox.data.normalisation import normalised
from tap_jetti.sandbox.data.reading import not_found

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tap_jetti.sandbox.data.documents import Document
    from tap_jetti.sandbox.options import Options

_SECOND = 1_000_000


class Account:
    """The rows of an account. Every change goes through it, and sets createdAt and updatedAt."""

    def __init__(self, options: Options) -> None:
        """Open the database that the options name."""
        self.options = options
        self.database = Database(options.database)
        self.random = random.Random(options.seed)  # noqa: S311 - not for secrets
        self.quota_used: dict[int, int] = {}
        """Updates of inventory feed variants by day since the epoch; only the last day is kept."""
        self._late: list[tuple[int, int, str, Row]] = []
        self._versions: dict[tuple[str, int], int] = {}
        self._changes = 0

    def close(self) -> None:
        """Commit all late changes and close the database."""
        self._commit(None)
        self.database.close()

    def now(self) -> float:
        """Seconds since the epoch by the server's clock."""
        return self.options.clock() + self.options.clock_skew

    def now_micros(self) -> int:
        """The updatedAt of a change made now, in microseconds since the epoch."""
        micros = round(self.now() * _SECOND)
        return micros if self.options.microseconds else micros // 1000 * 1000

    def commit_due(self) -> None:
        """Commit the late changes that are due."""
        if self._late and self._late[0][0] <= self.now() * _SECOND:
            self._commit(self.now() * _SECOND)

    def _commit(self, until: float | None) -> None:
        with self.database.lock:
            while self._late and (until is None or self._late[0][0] <= until):
                _, change, resource, row = heapq.heappop(self._late)
                # A change of the same row that was written later wins.
                if self._versions.get((resource, row.id)) == change:
                    del self._versions[resource, row.id]
                    self.database.put(resource, [row])

    def replace(self, resource: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Replace all rows of a resource."""
        check(resource)
        made = [self._stored(resource, row) for row in rows]
        with self.database.transaction():
            self.database.delete(resource)
            self.database.put(resource, made)
            for key in [key for key in self._versions if key[0] == resource]:
                del self._versions[key]

    def upsert(self, resource: str, row: Mapping[str, Any], *, visible_after: float = 0.0) -> Document:
        """Add a row, or update the given fields of the row with its id; returns the whole row.

        Args:
            resource: The resource in snake_case.
            row: The fields. Without an id the next free one is used; without updatedAt, the current time.
            visible_after: Seconds by the server's clock until the change is committed.
        """
        check(resource)
        with self.database.lock:
            row_id = row["id"] if "id" in row else self.database.next_id(resource)
            now = self.now_micros()
            before = self.database.row(resource, row_id)
            dates: Document = {"createdAt": timestamps.format_micros(now), "updatedAt": timestamps.format_micros(now)}
            merged = {}
            if before is not None:
                merged = self.document(before)
                dates["createdAt"] = before.created and timestamps.format_micros(before.created)
            made = self._stored(resource, {**merged, **dates, **row, "id": row_id})
            if visible_after > 0:
                self._changes += 1
                self._versions[resource, row_id] = self._changes
                due = now + round(visible_after * _SECOND)
                heapq.heappush(self._late, (due, self._changes, resource, made))
            else:
                self._put(resource, made)
            return self.document(made)

    def touch(self, resource: str, ids: Iterable[int], at: str | None = None) -> int:
        """Set the updatedAt of many rows, by default to the current time; returns how many of them exist."""
        check(resource)
        micros = self.now_micros() if at is None else timestamps.parse(at)
        with self.database.lock:
            chosen = list(ids)
            for row_id in chosen:
                self._versions.pop((resource, row_id), None)
            return self.database.stamp(resource, chosen, micros)

    def delete(self, resource: str, row_id: int) -> bool:
        """Delete a row; returns whether it existed."""
        check(resource)
        with self.database.lock:
            self._versions.pop((resource, row_id), None)
            return bool(self.database.delete(resource, row_id))

    def get(self, resource: str, row_id: int) -> Document:
        """A row by its id.

        Raises:
            Problem: There is no such row.
        """
        row = self.database.row(resource, row_id)
        if row is None:
            raise not_found(resource, row_id)
        return self.document(row)

    def find(self, resource: str, **values: str | int | None) -> Document | None:
        """The first row whose fields have these values, or None."""
        rows = self.database.find(resource, **values)
        return self.document(rows[0]) if rows else None

    def document(self, row: Row) -> Document:
        """The fields of a stored row."""
        document: Document = json.loads(row.body)
        return document

    def create(self, resource: str, fields: Mapping[str, Any]) -> Document:
        """Add a row with a new id; fields that are not given are null. Returns the whole row."""
        now = self.now_micros()
        fixed = {"id": self.database.next_id(resource), "companyId": documents.COMPANY}
        document = {**documents.empty_document(resource), **self._normalised(resource, fields), **fixed}
        self._put(resource, documents.build_row(resource, document, now, now))
        return document

    def change(self, resource: str, row: Row, fields: Mapping[str, Any]) -> Document:
        """Change some fields of a stored row; returns the whole row."""
        document = {**self.document(row), **self._normalised(resource, fields)}
        self._put(resource, documents.build_row(resource, document, self.now_micros(), row.created))
        return document

    def update(self, resource: str, row_id: int, fields: Mapping[str, Any]) -> Document:
        """Change some fields of a row by its id; returns the whole row.

        Raises:
            Problem: There is no such row.
        """
        row = self.database.row(resource, row_id)
        if row is None:
            raise not_found(resource, row_id)
        return self.change(resource, row, fields)

    def patch(self, resource: str, row_id: int, fields: Mapping[str, Any]) -> None:
        """Change some fields of a row that exists without reading it, which is faster than `update`."""
        self._versions.pop((resource, row_id), None)
        self.database.patch(resource, row_id, self._normalised(resource, fields), self.now_micros())
        if self.options.touch_parents and (row := self.database.row(resource, row_id)):
            self._touch_parents(resource, row)

    def _put(self, resource: str, row: Row) -> None:
        self._versions.pop((resource, row.id), None)
        self.database.put(resource, [row])
        if self.options.touch_parents:
            self._touch_parents(resource, row)

    def _touch_parents(self, resource: str, row: Row) -> None:
        """Move the updatedAt of the rows that a changed row refers to."""
        document = self.document(row)
        for key, parent in resources.references(resource).items():
            if isinstance(document.get(key), int):
                self.touch(parent, [document[key]])

    def _normalised(self, resource: str, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        return normalised(resource, fields, self.options.normalise) if self.options.normalise else fields

    def rows(self, resource: str) -> list[Document]:
        """All committed rows as the API returns them, ordered by id."""
        check(resource)
        self.commit_due()
        return [documents.render(resource, text, self.options) for text in self.database.bodies(resource)]

    def count(self, resource: str) -> int:
        """The number of committed rows."""
        check(resource)
        self.commit_due()
        return self.database.count(resource)

    def _stored(self, resource: str, row: Mapping[str, Any]) -> Row:
        return documents.to_row(resource, row, microseconds=self.options.microseconds)


def check(resource: str) -> None:
    """Check the name of a resource.

    Raises:
        ValueError: There is no such resource.
    """
    if not models.known(resource):
        msg = f"Jetti has no resource {resource!r}: expected a snake_case plural such as 'sales'."
        raise ValueError(msg)
