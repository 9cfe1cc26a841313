"""The decision about one record: unchanged, under way, or to be sent. One table, see `decide`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from tap_jetti.target.delivery.ledger.sent_write import Form, SentField, SentWrite, State
from tap_jetti.target.delivery.ledger.values import Short, field_hash, is_likely_form

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from tap_jetti.target.delivery.ledger.mirror import ShownRow

MINUTE_MS = 60_000

UNDER_WAY_MS = 15 * MINUTE_MS
"""Values that were accepted less than this ago are not sent again, and a row that shows others may still change."""

IN_FLIGHT_MS = 24 * 60 * MINUTE_MS
"""A write that was not shown in this time had no effect."""


class Action(Enum):
    """What to do with a record."""

    SEND = "send"
    UNCHANGED = "unchanged"
    UNDER_WAY = "under way"


@dataclass(frozen=True)
class Value:
    """A value of a record.

    Attributes:
        kind: The kind of its field.
        short: Its short form.
        digest: The hash of that.
    """

    kind: str
    short: Short
    digest: bytes

    @classmethod
    def of(cls, kind: str, short: Short) -> Value:
        """Return a value with its digest."""
        return cls(kind, short, field_hash(short))


@dataclass
class Decision:
    """What was decided, and what was learnt by it.

    Attributes:
        action: What to do.
        write: The last write of the key if its state has changed by what is shown; to be stored.
        forms: Normalisations that were learnt; to be stored.
        other_fields: Fields that came back differing, in a form that is not likely the same.
        normalised_fields: Fields that Jetti shows in another form.
        had_no_effect: Whether it was found now that the last write had no effect.
    """

    action: Action
    write: SentWrite | None = None
    forms: set[Form] = field(default_factory=set)
    other_fields: set[str] = field(default_factory=set)
    normalised_fields: set[str] = field(default_factory=set)
    had_no_effect: bool = False


@dataclass(frozen=True)
class KeyFacts:
    """What is known of the key of a record.

    Attributes:
        row: The row that Jetti shows; None: there is none.
        shown: Its values by field; null ones may be left out.
        sent: The last write of the key; None: it was never written.
        forms: Normalisations of the key that were learnt.
        is_removed: Whether the row is marked as removed.
    """

    row: ShownRow | None
    shown: Mapping[str, Short] = field(default_factory=dict)
    sent: SentWrite | None = None
    forms: AbstractSet[Form] = frozenset()
    is_removed: bool = False


def decide(values: Mapping[str, Value], facts: KeyFacts, *, now: int) -> Decision:
    """Decide about a record by what Jetti shows and what was sent. The first row of the table that fits holds.

    ===  ==========================================================================  =========
     3   no row (and not row 6), several rows, or a removed one                      send
     4   sent in the last day, a field not shown yet, and that differs from it       send
     5   every field is as shown, or a known form of it                              unchanged
     6   the fields that differ were accepted with these values in the last 15 min   under way
     7   else                                                                        send
    ===  ==========================================================================  =========

    Args:
        values: The record's values by field.
        facts: What is known of its key.
        now: The server's clock (ms).
    """
    decision = Decision(Action.SEND)
    row, shown = facts.row, facts.shown
    if row is not None and row.id < 0:  # ambiguous or outdated
        return decision
    sent = settle(decision, facts.sent, row, shown, now=now)
    differing = set(values)
    if row is not None and not facts.is_removed:
        # A row that was changed after the write and shows something else may still wait for it: see `settle`, (ii).
        if sent is not None and abs(now - sent.at) < IN_FLIGHT_MS and _differs_from_sent(values, sent):
            return decision
        _learn(decision, values, row, facts, sent)
        differing = {name for name, value in values.items() if value.short != shown.get(name)}
        differing -= decision.normalised_fields
        if not differing:
            decision.action = Action.UNCHANGED
            return decision
    is_under_way = sent is not None and sent.is_open and abs(now - sent.at) < UNDER_WAY_MS and not facts.is_removed
    if sent is not None and is_under_way:
        are_accepted = all(_is_accepted(sent.fields.get(name), values[name]) for name in differing)
        decision.action = Action.UNDER_WAY if are_accepted else Action.SEND
    return decision


def _learn(
    decision: Decision, values: Mapping[str, Value], row: ShownRow, facts: KeyFacts, sent: SentWrite | None
) -> None:
    """Note which of the values that differ are known or likely to be what Jetti makes of what was sent."""
    shown = facts.shown
    has_settled = sent is not None and sent.state is State.SETTLED and row.updated >= sent.at
    for name, value in values.items():
        found = shown.get(name)
        if value.short == found:
            continue
        form = Form(row.id, name, value.digest, field_hash(found))
        one = sent.fields.get(name) if sent is not None and has_settled else None
        if form in facts.forms:
            decision.normalised_fields.add(name)
        elif one is None or one.digest != value.digest:
            continue
        elif is_likely_form(value.kind, value.short, found):
            decision.normalised_fields.add(name)
            decision.forms.add(form)
        else:
            decision.other_fields.add(name)


def settle(
    decision: Decision, sent: SentWrite | None, row: ShownRow | None, shown: Mapping[str, Short], *, now: int
) -> SentWrite | None:
    """Judge the last write of a key by the row that Jetti shows, and note it in the decision.

    Returns:
        The write as it is known now.
    """
    if sent is None or not sent.is_open:
        return sent
    if row is not None and row.updated >= sent.at:
        differing = {name: one for name, one in sent.fields.items() if field_hash(shown.get(name)) != one.digest}
        if differing and now - sent.at < UNDER_WAY_MS:
            return sent
        sent = _changed(sent, State.SETTLED, fields=differing, tries=0)
    elif now - sent.at >= IN_FLIGHT_MS:
        if row is not None and all(field_hash(shown.get(name)) == one.digest for name, one in sent.fields.items()):
            sent = _changed(sent, State.SETTLED, fields={}, tries=0)  # it was so before
        else:
            sent = _changed(sent, State.NO_EFFECT, fields={}, tries=sent.tries + 1)
            decision.had_no_effect = True
    else:
        return sent
    decision.write = sent
    return sent


def _differs_from_sent(values: Mapping[str, Value], sent: SentWrite) -> bool:
    return any(
        name in values and (values[name].digest != one.digest or one.is_doubtful) for name, one in sent.fields.items()
    )


def _is_accepted(sent: SentField | None, value: Value) -> bool:
    return sent is not None and sent.is_accepted and sent.digest == value.digest


def _changed(sent: SentWrite, state: State, *, fields: dict[str, SentField], tries: int) -> SentWrite:
    return SentWrite(sent.key, sent.feed, sent.at, sent.order, state, tries, None, fields)
