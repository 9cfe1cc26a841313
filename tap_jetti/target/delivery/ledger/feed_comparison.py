"""Compares operations with the rows of their feed, and with what was sent before."""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from tap_jetti.client.sqlite_transaction import writing
from tap_jetti.facts.timestamps import normalise
from tap_jetti.target.delivery.ledger.decisions import IN_FLIGHT_MS, Action, Decision, KeyFacts, Value, decide, settle
from tap_jetti.target.delivery.ledger.feed_reader import milliseconds
from tap_jetti.target.delivery.ledger.mirror import AMBIGUOUS
from tap_jetti.target.delivery.ledger.values import Short, short_form
from tap_jetti.target.delivery.ledger.write_log import hash_of
from tap_jetti.target.delivery.verdict import Verdict
from tap_jetti.target.fields import InvalidValueError, number_of

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping, Sequence

    from tap_jetti.target.delivery.ledger.feed_reader import RowForm
    from tap_jetti.target.delivery.ledger.mirror import ShownRow
    from tap_jetti.target.delivery.ledger.sent_write import Form, SentWrite
    from tap_jetti.target.delivery.ledger.sent_writes import SentWrites
    from tap_jetti.target.delivery.operations import Origin, WriteOperation

FORM_DAYS = 30
"""Days after which a value that Jetti shows in another form is sent again, to see whether it still does."""

FORGET_DAYS = 90
"""Days after which a key counts as never sent."""

OVERDUE_PER_RUN = 1_000
"""Writes of earlier runs that are looked up in one run to see whether they took effect: ten GETs."""

_LOOKS = 3
"""Look-ups until a row counts as missing: the server may cut any page."""

STATUS, REMOVED = "status", "removed"
"""The field and the value of a row that was removed and is still shown."""

_DAY_MS = 86_400_000


@dataclass
class Noticed:
    """What comparisons have noticed, for the summary and the log.

    Attributes:
        without_effect: Labels of writes of earlier runs that have shown no effect in 24 hours.
        other_fields: How often Jetti showed something else than what was sent, by field.
        normalised_fields: How often it showed what was sent in another form, by field.
        ambiguous: Labels of operations whose key several rows have.
    """

    without_effect: list[str] = field(default_factory=list)
    other_fields: Counter[str] = field(default_factory=Counter)
    normalised_fields: Counter[str] = field(default_factory=Counter)
    ambiguous: list[str] = field(default_factory=list)


class RowFacts(Protocol):
    """What is known of the rows of some keys, see `FeedFacts`."""

    is_proven: bool

    @property
    def is_fresh(self) -> bool:
        """Whether all rows were read not long ago."""
        ...

    @property
    def was_refreshed(self) -> bool:
        """Whether all rows were read in this run."""
        ...

    def known(self, keys: Sequence[int]) -> dict[int, ShownRow]:
        """Return the rows of keys as they were read."""
        ...

    def fresh(self, keys: Mapping[int, str], *, is_end: bool) -> dict[int, ShownRow]:
        """Return the rows of keys as Jetti shows them now."""
        ...


class FeedComparison:
    """Compares operations of feeds. Calls must not overlap.

    Args:
        form: How rows are remembered.
        sent: What was sent.
        logger: For messages.
        is_known: Whether it is known which fields of a replayed record came newer meanwhile.
    """

    def __init__(
        self,
        form: RowForm,
        sent: SentWrites,
        *,
        logger: logging.Logger,
        is_known: Callable[[Origin], bool] = lambda _: True,
    ) -> None:
        self._is_known = is_known
        self.noticed = Noticed()
        self._form = form
        self._sent = sent
        self._logger = logger
        # Keys that this run has decided to send: it is not known when that happens, so they are always sent again.
        self._decided = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._decided.execute("PRAGMA journal_mode = OFF")
        self._decided.execute("PRAGMA synchronous = OFF")
        self._decided.execute("CREATE TABLE decided (h INTEGER PRIMARY KEY)")

    def compare(
        self, operations: Sequence[WriteOperation], facts: RowFacts, *, now: int, is_end: bool
    ) -> list[Verdict]:
        """Compare operations of one feed, those of one key in order.

        Args:
            operations: The operations. Those of actions without a `comparison` are always sent.
            facts: The rows of the feed.
            now: The server's clock in milliseconds.
            is_end: Whether the input has ended.

        Raises:
            RequestError: A request failed.
        """
        hashes = [hash_of(operation.key) for operation in operations]
        keys = {
            h: str(one.key.value)
            for h, one in zip(hashes, operations, strict=True)
            if one.action.comparison is not None
        }
        decided = self._decided_of(hashes)
        known = _Known(self._sent, keys, now)
        is_stale = facts.was_refreshed and not facts.is_fresh
        rows = facts.known(list(keys)) if is_stale else facts.fresh(keys, is_end=is_end) if keys else {}
        before = set(decided) if is_stale else decided
        pairs = list(zip(hashes, operations, strict=True))
        found = [self._compare(one, h, rows, known, decided, now=now) for h, one in pairs]
        doubtful = {h: keys[h] for (h, _), one in zip(pairs, found, strict=True) if one.is_needless}
        if is_stale and doubtful:  # only what is not sent must rest on fresh facts
            rows = facts.fresh(doubtful, is_end=is_end)
            for number, (h, one) in enumerate(pairs):
                if h in doubtful:
                    found[number] = self._compare(one, h, rows, known, before, now=now)
        sending = {h for h, one in zip(hashes, found, strict=True) if not one.is_needless}
        with writing(self._decided):
            self._decided.executemany("INSERT OR IGNORE INTO decided VALUES (?)", [(h,) for h in sending])
        return found

    def find_overdue(self, feed: int, facts: RowFacts, *, now: int) -> None:
        """Judge writes of earlier runs whose keys did not come again.

        If the feed was not read as a whole, their rows are looked up, some in each run.

        Raises:
            RequestError: A request failed.
        """
        overdue = self._sent.overdue(feed, now - IN_FLIGHT_MS)
        if overdue and not facts.is_proven:
            values = self._values_of(feed, overdue)
            overdue = [write for write in overdue if write.key in values]
            rows = _found(values, facts)
        else:
            rows = facts.known([write.key for write in overdue]) if overdue else {}
        for write in overdue:
            decision = Decision(Action.SEND)
            row = rows.get(write.key)
            settle(decision, write, row, self._shown(row), now=now)
            self._note(decision, write.key, write.label or "", write)

    def _values_of(self, feed: int, writes: Sequence[SentWrite]) -> dict[int, str]:
        """The values of the keys of some writes, as their labels tell them, unless a label was cut."""
        field = self._form.comparison.key_field
        values = {write.key: (write.label or "").partition(f"{field} ")[2] for write in writes}
        known = ((h, value) for h, value in values.items() if self._form.key_of(feed, value) == h)
        return dict(islice(known, OVERDUE_PER_RUN))

    def close(self) -> None:
        """Release the temporary file."""
        self._decided.close()

    def _compare(
        self,
        operation: WriteOperation,
        h: int,
        rows: Mapping[int, ShownRow],
        known: _Known,
        decided: set[int],
        *,
        now: int,
    ) -> Verdict:
        row, sent = rows.get(h), known.sent.get(h)
        last_sent = None
        if sent is not None and now - sent.at < FORGET_DAYS * _DAY_MS:
            last_sent = sent.at / 1000
        if operation.action.comparison is None or h in decided:
            decided.add(h)
            return Verdict(change=self._change(operation.payload, row), last_sent=last_sent)
        payload = operation.payload
        shorts = self._short_forms(operation)
        if (
            shorts is not None
            and row is not None
            and row.id >= 0
            and (sent is None or not sent.fields)
            and not self._is_removed(row, payload)
            and all(row.values.get(number) == short for number, short in shorts.items())
        ):
            return Verdict(is_unchanged=True)
        decision = self._decide(operation, row, sent, known.forms_of(h, row), now=now)
        self._note(decision, h, operation.label, sent)
        if decision.write is not None:
            known.sent[h] = decision.write
        if row is not None and row.id == AMBIGUOUS:
            self.noticed.ambiguous.append(operation.label)
        if decision.action is not Action.SEND:
            is_unchanged = decision.action is Action.UNCHANGED
            return Verdict(is_unchanged=is_unchanged, is_under_way=not is_unchanged)
        if self._is_outdated(operation, row, sent):
            return Verdict(is_outdated=True)
        decided.add(h)
        write = decision.write or sent
        return Verdict(
            is_new=row is None,
            change=self._change(payload, row),
            last_sent=last_sent,
            had_no_effect=write is not None and (write.tries > 0 or bool(decision.other_fields)),
        )

    def _is_outdated(self, operation: WriteOperation, row: ShownRow | None, sent: SentWrite | None) -> bool:
        """Whether an operation was rejected by another ledger, and its row was written or changed since."""
        origin = operation.origins[-1] if operation.origins else None
        if origin is None or origin.replay is None or self._is_known(origin):
            return False
        try:
            rejected = milliseconds(normalise(origin.replay.time))
        except ValueError:
            return False
        return (row is not None and row.updated > rejected) or (sent is not None and sent.at > rejected)

    def _decide(
        self,
        operation: WriteOperation,
        row: ShownRow | None,
        sent: SentWrite | None,
        forms: set[Form],
        *,
        now: int,
    ) -> Decision:
        payload, kinds = operation.payload, self._form.kinds
        if any(name not in self._form.numbers for name in payload if name != operation.key.field):
            return Decision(Action.SEND)
        values = {
            name: Value.of(kinds[name], short_form(kinds[name], value))
            for name, value in payload.items()
            if name != operation.key.field
        }
        is_removed = row is not None and self._is_removed(row, payload)
        return decide(values, KeyFacts(row, self._shown(row), sent, forms, is_removed), now=now)

    def _note(self, decision: Decision, h: int, label: str, sent: SentWrite | None) -> None:
        if decision.write is not None:
            self._sent.settle([decision.write])
        self._sent.learn(h, decision.forms)
        self.noticed.other_fields.update(decision.other_fields)
        self.noticed.normalised_fields.update(decision.normalised_fields)
        if decision.had_no_effect:
            self.noticed.without_effect.append((sent.label if sent is not None else None) or label)

    def _short_forms(self, operation: WriteOperation) -> dict[int, Short] | None:
        """The short forms of a payload by field number; None if it has a field that is not remembered."""
        numbers, kinds, key_field = self._form.numbers, self._form.kinds, operation.key.field
        shorts: dict[int, Short] = {}
        for name, value in operation.payload.items():
            number = numbers.get(name)
            if number is not None:
                shorts[number] = short_form(kinds[name], value)
            elif name != key_field:
                return None
        return shorts

    def _shown(self, row: ShownRow | None) -> dict[str, Short]:
        if row is None:
            return {}
        fields = self._form.fields
        return {fields[number]: short for number, short in row.values.items()}

    def _is_removed(self, row: ShownRow, payload: Mapping[str, Any]) -> bool:
        number = self._form.numbers.get(STATUS)
        return number is not None and STATUS not in payload and row.values.get(number) == REMOVED

    def _change(self, payload: Mapping[str, Any], row: ShownRow | None) -> Decimal | None:
        quantity = self._form.comparison.quantity_field
        if quantity not in payload:
            return None
        before = None if row is None else row.values.get(self._form.numbers[quantity])
        return abs(_number(payload[quantity]) - _number(before))

    def _decided_of(self, hashes: Sequence[int]) -> set[int]:
        found: set[int] = set()
        for start in range(0, len(hashes), 500):
            chunk = hashes[start : start + 500]
            marks = ",".join("?" * len(chunk))
            query = f"SELECT h FROM decided WHERE h IN ({marks})"  # noqa: S608 - marks only
            found |= {h for (h,) in self._decided.execute(query, chunk)}
        return found


def _found(values: Mapping[int, str], facts: RowFacts) -> dict[int, ShownRow]:
    """The rows of keys. Those that do not come are asked for again."""
    rows: dict[int, ShownRow] = {}
    for _ in range(_LOOKS):
        missing = {h: value for h, value in values.items() if h not in rows}
        if missing:
            rows |= facts.fresh(missing, is_end=True)
    return rows


class _Known:
    """What the ledger knows of some keys; forms only if they are asked for."""

    def __init__(self, sent: SentWrites, keys: Mapping[int, str], now: int) -> None:
        self._ledger = sent
        self._keys = list(keys)
        self._since = now - FORM_DAYS * _DAY_MS
        self._forms: dict[int, set[Form]] | None = None
        self.sent = sent.find(self._keys)

    def forms_of(self, h: int, row: ShownRow | None) -> set[Form]:
        if row is None:
            return set()
        if self._forms is None:
            self._forms = self._ledger.forms(self._keys, self._since)
        return {form for form in self._forms.get(h, ()) if form.row_id == row.id}


def _number(value: object) -> Decimal:
    try:
        return Decimal(number_of(value))
    except InvalidValueError:
        return Decimal(0)
