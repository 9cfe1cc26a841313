"""A model of one inventory feed and of Jetti's queue, on a virtual clock, for plays of the ledger."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tap_jetti.target.delivery.ledger.mirror import ShownRow
from tap_jetti.target.delivery.ledger.values import short_form

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Sequence

    from tap_jetti.target.delivery.ledger.feed_reader import RowForm
    from tap_jetti.target.delivery.ledger.mirror import FeedState

FEED = 7
SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


class KilledError(Exception):
    """The run was killed."""


@dataclass
class Row:
    """A row of the feed: its key, when it was changed, and its values."""

    key: str
    updated: int
    values: dict[str, object]


@dataclass
class Traits:
    """What a server is like.

    Attributes:
        late: The longest time between the ``updatedAt`` of a change and its commit, in ms.
        delay: The longest time that an accepted write waits in the queue, in ms.
        loss: The share of accepted writes that have no effect.
        is_normalising: Whether texts lose their blanks and their case.
        counts: Whether rows are counted.
        is_cutting: Whether pages may be any prefix of the right one.
        busy: Changes by others per GET.
        kills: The probability of a kill per step of a run.
    """

    late: int
    delay: int
    loss: float
    is_normalising: bool
    counts: bool
    is_cutting: bool
    busy: float
    kills: float


@dataclass
class World:
    """Rows, changes that are not committed yet, and writes that wait in the queue.

    Attributes:
        shown: Per key, every value that was shown since the run began; None: no row.
        queue: Accepted writes by the time at which they take effect; per key they keep their order.
    """

    random: random.Random
    traits: Traits
    time: int = 1_700_000_000_000
    rows: dict[int, Row] = field(default_factory=dict)
    pending: list[tuple[int, Callable[[], None]]] = field(default_factory=list)
    queue: list[tuple[int, str, dict[str, object]]] = field(default_factory=list)
    shown: dict[str, list[dict[str, object] | None]] = field(default_factory=dict)
    next_id: int = 1
    gets: int = 0

    def start_run(self) -> None:
        """Forget what was shown before."""
        self.shown = {}
        for key in {row.key for row in self.rows.values()}:
            self._note(key)

    def shown_of(self, key: str) -> list[dict[str, object] | None]:
        """What was shown of a key since the run began."""
        return self.shown.get(key, [None])

    def values_of(self, key: str) -> dict[str, object] | None:
        """What is shown of a key now."""
        return next((dict(row.values) for row in self.rows.values() if row.key == key), None)

    def pass_time(self, milliseconds: int) -> None:
        """Let time pass, and everything happen that is due."""
        self.time += milliseconds
        due = sorted((one for one in self.pending if one[0] <= self.time), key=lambda one: one[0])
        self.pending = [one for one in self.pending if one[0] > self.time]
        for _, commit in due:
            commit()
        ready = sorted((one for one in self.queue if one[0] <= self.time), key=lambda one: one[0])
        self.queue = [one for one in self.queue if one[0] > self.time]
        for at, key, values in ready:
            self._write(key, values, at)

    def accept(self, key: str, values: dict[str, object]) -> None:
        """Take a write into the queue."""
        if self.random.random() < self.traits.loss:
            return
        due = self.time + self.random.randrange(self.traits.delay + 1)
        due = max([due, *(at + 1 for at, other, _ in self.queue if other == key)])
        self.queue.append((due, key, dict(values)))

    def step(self) -> None:
        """What others do during one request: changes, additions and removals."""
        self.gets += 1
        self.pass_time(self.random.randrange(1, 2 * SECOND))
        if self.random.random() < self.traits.busy:
            self.foreign_change()

    def foreign_change(self) -> None:
        """Change, add or remove a row, with a commit that may come late."""
        kind = self.random.random()
        stamped = self.time
        commit_at = self.time + self.random.randrange(self.traits.late + 1)
        if kind < 0.6 and self.rows:
            row_id = self.random.choice(list(self.rows))
            values: dict[str, object] = {"inventoryQuantity": self.random.randrange(4)}
            self.pending.append((commit_at, lambda: self._change(row_id, values, stamped)))
        elif kind < 0.8:
            row_id, self.next_id = self.next_id, self.next_id + 1
            key = f"k{self.random.randrange(40)}"
            new = {"inventoryQuantity": self.random.randrange(4), "cachedName": "cup"}
            self.pending.append((commit_at, lambda: self._add(row_id, key, new, stamped)))
        elif self.rows:
            row_id = self.random.choice(list(self.rows))
            self.pending.append((commit_at, lambda: self._remove(row_id)))

    def add_now(self, key: str, values: dict[str, object]) -> None:
        """Add a row at once."""
        row_id, self.next_id = self.next_id, self.next_id + 1
        self._add(row_id, key, values, self.time)

    def _write(self, key: str, values: dict[str, object], at: int) -> None:
        if self.traits.is_normalising:
            values = {name: " ".join(v.split()).lower() if isinstance(v, str) else v for name, v in values.items()}
        row_id = next((row_id for row_id, row in self.rows.items() if row.key == key), None)
        if row_id is None:
            self.add_now(key, values)
        else:
            self._change(row_id, values, at)

    def _change(self, row_id: int, values: dict[str, object], stamped: int) -> None:
        if row_id in self.rows:
            row = self.rows[row_id]
            row.values.update(values)
            row.updated = stamped  # writers commit out of order, so it may go back
            self._note(row.key)

    def _add(self, row_id: int, key: str, values: dict[str, object], stamped: int) -> None:
        if all(row.key != key for row in self.rows.values()):
            self.rows[row_id] = Row(key, stamped, dict(values))
            self._note(key)

    def _remove(self, row_id: int) -> None:
        row = self.rows.pop(row_id, None)
        if row is not None:
            self._note(row.key)

    def _note(self, key: str) -> None:
        self.shown.setdefault(key, [None]).append(self.values_of(key))


class WorldReader:
    """Reads the model's feed as `JettiFeedReader` reads Jetti's."""

    page_rows = 10

    def __init__(self, world: World, form: RowForm, step: Callable[[], None]) -> None:
        self._world = world
        self._form = form
        self._step = step

    def now(self) -> int:
        """The server's clock."""
        return self._world.time

    def walk(self, _state: FeedState, since: int) -> Iterator[Sequence[ShownRow]]:
        """Rows by ``updatedAt``, to the end."""
        upper, cursor, seen = self._world.time + 2 * SECOND, since, set[int]()
        while True:
            self._step()
            rows = sorted((row.updated, row_id) for row_id, row in self._world.rows.items())
            page = [(at, row_id) for at, row_id in rows if cursor <= at <= upper and row_id not in seen]
            page = page[: self.page_rows]
            if not page:
                return
            yield [self._shown(row_id) for _, row_id in page]
            last = page[-1][0]
            seen = (seen if last == cursor else set()) | {row_id for at, row_id in page if at == last}
            cursor = last

    def by_id(self, first_id: int) -> Iterator[Sequence[ShownRow]]:
        """Rows by id, to the end."""
        while True:
            self._step()
            ids = sorted(row_id for row_id in self._world.rows if row_id >= first_id)[: self.page_rows]
            if not ids:
                return
            if self._world.traits.is_cutting:
                ids = ids[: self._world.random.randrange(1, len(ids) + 1)]
            yield [self._shown(row_id) for row_id in ids]
            first_id = ids[-1] + 1

    def count(self, upto: int, *, beyond: int = 0) -> int | None:
        """Rows in a range of ids."""
        self._step()
        return sum(beyond < row_id <= upto for row_id in self._world.rows) if self._world.traits.counts else None

    def count_since(self, since: int | None) -> int | None:
        """Rows that were changed since an instant."""
        self._step()
        rows = [row for row in self._world.rows.values() if since is None or row.updated >= since]
        return len(rows) if self._world.traits.counts else None

    def rows(self, ids: Sequence[int]) -> Sequence[ShownRow]:
        """Some of the rows with these ids."""
        self._step()
        found = [row_id for row_id in ids if row_id in self._world.rows]
        if self._world.traits.is_cutting and found:
            found = found[: self._world.random.randrange(1, len(found) + 1)]
        return [self._shown(row_id) for row_id in found]

    def look_up(self, values: Sequence[str]) -> list[ShownRow]:
        """The rows of keys."""
        self._step()
        wanted = set(values)
        return [self._shown(row_id) for row_id, row in sorted(self._world.rows.items()) if row.key in wanted]

    def _shown(self, row_id: int) -> ShownRow:
        row, form = self._world.rows[row_id], self._form
        values = {form.numbers[name]: short_form(form.kinds[name], value) for name, value in row.values.items()}
        return ShownRow(row_id, form.key_of(FEED, row.key), row.updated, values)
