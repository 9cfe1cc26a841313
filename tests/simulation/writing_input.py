"""Random inputs of the target, and what must be true of Jetti once their records are done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from invariants import Violation
from writing_model import REFUSED

if TYPE_CHECKING:
    import random

    from writing_model import Row, WritingJetti

VARIANTS, REMOVALS = "inventory_feed_variants", "inventory_feed_variant_removals"
SHIPMENTS, STATUSES = "shipments", "purchase_statuses"
STREAMS = (VARIANTS, REMOVALS, SHIPMENTS, STATUSES)
FIELDS = ("inventoryQuantity", "costPrice")


@dataclass(frozen=True)
class Message:
    """A record with its number, or a STATE whose value is the number of the records before it."""

    number: int
    stream: str = ""
    record: Row = field(default_factory=dict)


def draw_messages(chance: random.Random, limit: int | None) -> list[Message]:
    """Records of all actions with a STATE here and there. What a record writes is its own number.

    Args:
        chance: What decides.
        limit: How many updates a run may send. What each run removes and writes again differs in each run, so with
            removals it must be enough for all keys.
    """
    keys, records = chance.choice([1, 3, 20]), chance.choice([10, 40, 90])
    removals = int(limit is None or keys <= limit)
    weights = chance.choice([(1, 0, 0, 0), (4, removals, 0, 0), (3, removals, 2, 1), (0, 0, 1, 0)])
    poison, states = chance.choice([0.0, 0.0, 0.05]), chance.choice([0.02, 0.1, 0.5])
    messages = []
    for number in range(1, records + 1):
        stream = chance.choices(STREAMS, weights)[0]
        messages.append(Message(number, stream, _record(stream, number, keys, chance, is_bad=chance.random() < poison)))
        if chance.random() < states:
            messages.append(Message(number))
    return [*messages, Message(records)]


def _record(stream: str, number: int, keys: int, chance: random.Random, *, is_bad: bool) -> Row:
    if stream == SHIPMENTS:
        purchase = chance.randrange(1, 4)
        items = [10 * purchase + item for item in (1, 2, 3) if chance.random() < 0.4]
        return {"_n": number, "purchaseId": purchase, "trackingNumber": chance.choice("AB"), "ids": items}
    if stream == STATUSES:
        return {"_n": number, "purchaseId": chance.randrange(1, 4), "purchaseStatusId": number}
    key = {"_n": number, "externalId": f"e{chance.randrange(keys)}"}
    if stream == REMOVALS:
        return key
    if is_bad:
        return {**key, "inventoryQuantity": "many"}
    written = chance.choice([FIELDS, FIELDS[:1], FIELDS[1:]])
    return {**key, **dict.fromkeys(written, number)}


def is_invalid(message: Message) -> bool:
    """Whether a record is invalid by itself."""
    return message.record.get("inventoryQuantity") == "many"


def may_be_refused(message: Message) -> bool:
    """Whether the API refuses a record, if it refuses any."""
    quantity = message.record.get("inventoryQuantity")
    return isinstance(quantity, int) and quantity % REFUSED == 0


def expected_variants(messages: list[Message], aside: set[int]) -> dict[str, dict[str, int] | None]:
    """The fields of each key after these records, without those that are set aside; None if it was removed last."""
    found: dict[str, dict[str, int] | None] = {}
    for message in messages:
        if message.stream not in {VARIANTS, REMOVALS} or message.number in aside or is_invalid(message):
            continue
        key = message.record["externalId"]
        if message.stream == REMOVALS:
            found[key] = None
        else:
            written = {name: message.record[name] for name in FIELDS if name in message.record}
            found[key] = {**(found.get(key) or {}), **written}
    return found


def check_arrived(jetti: WritingJetti, messages: list[Message], aside: set[int], upto: int) -> None:
    """Whether everything that records up to a STATE ask for has arrived, or was set aside.

    Raises:
        Violation: Something has not.
    """
    before = [message for message in messages if message.stream and message.number <= upto]
    bad = [message.number for message in before if is_invalid(message) and message.number not in aside]
    if bad:
        raise Violation(f"invalid records {bad[:5]} are not set aside, but STATE {upto} is out")
    _check_variants(jetti, messages, before, aside, upto)
    statuses: dict[int, int] = {}
    for message in before:
        record = message.record
        if message.stream == SHIPMENTS and message.number not in aside:
            _check_shipped(jetti, record, upto)
        elif message.stream == STATUSES:
            statuses[record["purchaseId"]] = record["purchaseStatusId"]
    for purchase, status in statuses.items():
        sent = [one.values["purchaseStatusId"] for one in jetti.arrivals if (one.kind, one.key) == ("status", purchase)]
        if max(sent, default=0) < status:
            raise Violation(f"status {status} of purchase {purchase} has not arrived, but STATE {upto} is out")


def _check_variants(
    jetti: WritingJetti, messages: list[Message], before: list[Message], aside: set[int], upto: int
) -> None:
    for key, fields in expected_variants(before, aside).items():
        writes = [one for one in jetti.arrivals if one.kind in {"set", "remove"} and one.key == key]
        removals = [one.number for one in messages if one.stream == REMOVALS and one.record["externalId"] == key]
        for name, value in (fields or {}).items():
            if max(removals, default=0) > value and any(one.kind == "remove" for one in writes):
                continue  # a later removal may have taken its place
            if max((one.values[name] for one in writes if name in one.values), default=0) < value:
                raise Violation(f"{name} {value} of {key} has not arrived, but STATE {upto} is out")
        if fields is None:
            removal = max(one.number for one in before if one.stream == REMOVALS and one.record["externalId"] == key)
            older = [
                place
                for place, one in enumerate(writes)
                if one.kind == "set" and max(one.values.get(name, 0) for name in FIELDS) < removal
            ]
            removed = [place for place, one in enumerate(writes) if one.kind == "remove"]
            if not removed or removed[-1] < max(older, default=-1):
                raise Violation(f"the removal {removal} of {key} has not arrived, but STATE {upto} is out")


def _check_shipped(jetti: WritingJetti, record: Row, upto: int) -> None:
    purchase, number = record["purchaseId"], record["trackingNumber"]
    ids = {
        row["id"]
        for row in jetti.rows["dropshipments"]
        if (row["purchaseId"], row["trackingNumber"]) == (purchase, number)
    }
    shipped = {row["purchaseItemId"] for row in jetti.rows["dropshipment-items"] if row["dropshipmentId"] in ids}
    wanted = record["ids"] or [10 * purchase + item for item in (1, 2, 3)]
    if not set(wanted) <= shipped:
        raise Violation(f"items {sorted(set(wanted) - shipped)} are not shipped, but STATE {upto} is out")


def check_final(jetti: WritingJetti, messages: list[Message], aside: set[int]) -> None:
    """Whether Jetti shows the last value of each key.

    Raises:
        Violation: It does not.
    """
    shown = jetti.variants()
    for key, fields in expected_variants(messages, aside).items():
        row = shown.get(key)
        if fields is None:
            if row is not None:
                raise Violation(f"{key} was removed last, and is there")
        elif row is None or any(row.get(name) != value for name, value in fields.items()):
            raise Violation(f"{key} is {row and {name: row.get(name) for name in FIELDS}}, not {fields}")


def check_order(jetti: WritingJetti) -> None:
    """Whether the API got the writes of each key in order, in each run.

    Raises:
        Violation: A later one came first.
    """
    latest: dict[tuple[Any, ...], int] = {}
    for one in jetti.arrivals:
        if one.kind in {"set", "status"} and not one.is_queued:
            number = max(value for value in one.values.values() if isinstance(value, int))
            place = (one.run, one.kind, one.key)
            if number < latest.get(place, 0):
                raise Violation(f"{one.kind} {number} of {one.key} came behind {latest[place]}")
            latest[place] = number
