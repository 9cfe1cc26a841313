"""Runs of the target against sandboxes with random freedoms of the API's contract: no write is lost or doubled.

``python tests/target/any_server_writes.py 500`` runs 500 seeds, several at a time; ``--first 17 1`` repeats one.

Each seed draws the options of a sandbox, the settings of the target, and records of many actions, some of them
invalid. The input is sent until a run ends well, and once more. After each run that ends well, Jetti must hold the last
value of every key in the form that it stores, and each shipment, cancellation, provider and feed once. A write of
these whose answer was lost, and of which nothing is to be seen, may be rejected, but not be written twice.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from target_runs import CHANNEL, FEED, VARIANTS, Outcome, deliver, jetti, record, schema, state

from seed_runner import run_seeds
from tap_jetti.sandbox.data.normalisation import normalised
from tap_jetti.sandbox.options import NORMALISATIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_jetti.sandbox import Sandbox

MOST_RUNS = 6
"""Runs in a row that may fail, before it counts as a fault of the target."""

SALES, PURCHASES, OWN_VARIANTS = range(31, 36), range(21, 24), (11, 12)
ONCE = {
    "shipments": "dropshipments",
    "cancellations": "sale_returns",
    "dropship_providers": "dropship_providers",
    "inventory_feeds": "inventory_feeds",
}
"""The actions that add rows which must not be doubled, and the resources of these rows."""

TEXTS = ("plain", " padded ", "MiXed", "ü", "", "two  words")


class Violation(AssertionError):  # noqa: N818 - it is what a seed shows, not an error of a program
    """Something does not hold."""


def draw_options(chance: random.Random, seed: int) -> dict[str, Any]:
    """The freedoms that the server of a seed uses."""
    # Where a server cuts pages and does not count, nobody can tell whether a row exists.
    count = chance.choice(["all", "all", "purchases", "none"])
    return {
        "seed": seed,
        "from_means": chance.choice(["page", "offset", "nothing"]),
        "page_cap": chance.choice([100_000, 100, 3]),
        "page_cap_after": chance.choice([0, 0, 3]),
        "page_cap_bytes": chance.choice([0, 0, 500]),
        "refuse_limit": chance.choice([0, 0, 60]),
        "short_pages": chance.choice([0.0, 0.0, 0.1]) if count == "all" else 0.0,
        "decimals": chance.choice(["number", "text", "mixed"]),
        "company_id": chance.choice(["number", "text"]),
        "unstable_ties": chance.random() < 0.5,
        "extra_fields": chance.random() < 0.5,
        "count": count,
        "refuse_attributes": chance.choice(["never", "never", "many", "always"]),
        "ignore_descending": chance.random() < 0.2,
        "touch_parents": chance.random() < 0.3,
        "permanent_errors": chance.choice(["mixed", "500"]),
        "channel_level_path": chance.choice(["guide", "reference", "both"]),
        "disconnect_path": chance.choice(["short", "long", "both"]),
        "products_path": chance.choice(["batches", "batch", "both"]),
        "removal": chance.choice(["delete", "mark"]),
        "removal_of_missing": chance.choice(["404", "200", "422"]),
        "normalise": tuple(way for way in NORMALISATIONS if chance.random() < 0.3),
        "sale_imports": chance.random() < 0.5,
        "inbound_delay": chance.choice([0.0, 0.0, 0.1]),
        "inbound_order": chance.choice(["arrival", "arrival", "random"]),
        "rate_limit_headers": chance.choice(["none", "garbage"]),
        "faults": chance.choice([0.0, 0.0, 0.03]),
        "fault_kinds": ("429", "500", "502-html", "503", "reset-before", "reset-after", "truncated", "html-200"),
    }


def draw_settings(chance: random.Random) -> dict[str, Any]:
    """The settings of the target of a seed."""
    return {
        "delivery": chance.choice(["inbound", "api"]),
        "concurrency": chance.choice([1, 4, 8]),
        "batch_size": chance.choice([1, 3, 50]),
        "skip_unchanged": chance.random() < 0.7,
        "confirm_seconds": chance.choice([0, 0, 5]),
        "on_reject": "set_aside",
    }


@dataclass
class Expected:
    """What Jetti must hold.

    Attributes:
        fields: The last values of the rows by resource and key: a field with its value, and further fields.
        removed: The external ids of feed variants whose last record is a removal.
        shipped: Shipments by purchase and tracking number.
        cancelled: Purchases and sales that are cancelled, by resource and id.
        rejected: The number of invalid records.
    """

    fields: dict[tuple[str, str, Any], dict[str, Any]] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    shipped: set[tuple[int, str]] = field(default_factory=set)
    cancelled: set[tuple[str, int]] = field(default_factory=set)
    rejected: int = 0

    def put(self, resource: str, key: str, key_value: Any, **fields: Any) -> None:
        """Note the values of a row."""
        place = (resource, key, key_value)
        self.fields[place] = {**self.fields.get(place, {}), **fields}


class Play:
    """The runs of one seed."""

    def __init__(self, seed: int, directory: Path) -> None:
        self.chance = random.Random(seed)
        self.options = draw_options(self.chance, seed)
        self.settings = {**draw_settings(self.chance), "rejects_path": str(directory / "rejects.jsonl")}
        self.expected = Expected()
        self._is_inbound = self.settings["delivery"] == "inbound"
        self._sent: set[tuple[Any, ...]] = set()
        self._messages = [schema(stream) for stream in self._draws()]
        for number in range(self.chance.choice([5, 40, 120])):
            made = self._draws()[self.chance.choice(list(self._draws()))]()
            self._messages += [] if made is None else [made]
            if self.chance.random() < 0.1:
                self._messages.append(state(number))
        self._messages.append(state("end"))

    def play(self) -> None:
        """Send the input until a run ends well, and once more.

        Raises:
            Violation: Something does not hold.
        """
        with jetti(**self.options) as sandbox:
            self._prepare(sandbox)
            self.until_it_ends_well(sandbox)
            self.until_it_ends_well(sandbox)

    def until_it_ends_well(self, sandbox: Sandbox) -> None:
        """Run the target, again if it fails, and check what Jetti holds.

        Raises:
            Violation: Something does not hold.
        """
        for _ in range(MOST_RUNS):
            outcome = deliver(sandbox, *self._messages, **self.settings)
            if outcome.error is None:
                break
            if outcome.states[-1:] == ["end"]:
                raise Violation(f"the last STATE is written, and the run failed: {outcome.error}")
        else:
            raise Violation(f"{MOST_RUNS} runs failed: {outcome.error}")
        self._check(sandbox, outcome)

    def _check(self, sandbox: Sandbox, outcome: Outcome) -> None:
        expected = self.expected
        rejected = {name: one.rejected for name, one in outcome.figures.items()}
        uncertain = {resource: rejected.get(action, 0) for action, resource in ONCE.items()}
        if any(uncertain.values()) and not self.options["faults"]:
            raise Violation(f"no answer was lost, and rejected: {rejected}")
        if sum(rejected.values()) - sum(uncertain.values()) != expected.rejected:
            raise Violation(f"{expected.rejected} invalid records, and rejected: {rejected}")
        if outcome.code != any(rejected.values()):
            raise Violation(f"exit code {outcome.code}, and rejected: {rejected}")
        if outcome.states[-1:] != ["end"]:
            raise Violation(f"the last STATE is not written, but {outcome.states[-1:]}")
        for (resource, key, value), fields in expected.fields.items():
            found = [row for row in sandbox.rows(resource) if str(row.get(key)) == str(value)]
            if not found and uncertain.get(resource):
                continue
            if len(found) != 1:
                raise Violation(f"{len(found)} rows of {resource} have {key} {value}")
            stored = normalised(resource, fields, self.options["normalise"])
            wrong = {name: found[0].get(name) for name in stored if not _equal(found[0].get(name), stored[name])}
            if wrong and not uncertain.get(resource):
                raise Violation(f"{resource} {key} {value} has {wrong}, expected {stored}")
        alive = {row["externalId"] for row in sandbox.rows(VARIANTS) if row.get("status") != "removed"}
        if alive & expected.removed:
            raise Violation(f"removed feed variants are there: {sorted(alive & expected.removed)}")
        shipped = [(row["purchaseId"], _plain(row["trackingNumber"])) for row in sandbox.rows("dropshipments")]
        _check_once("shipments", shipped, expected.shipped, left_out=uncertain["dropshipments"])
        cancelled = [
            ("purchases", row["purchaseId"]) if row.get("purchaseId") else ("sales", row["saleId"])
            for row in sandbox.rows("sale_returns")
        ]
        _check_once("cancellations", cancelled, expected.cancelled, left_out=uncertain["sale_returns"])

    # What is sent.

    def _draws(self) -> dict[str, Callable[[], dict[str, Any] | None]]:
        return {
            VARIANTS: self._feed_variant,
            "inventory_feed_variant_removals": self._removal,
            "updates": self._update,
            "sales_updates": self._sale_update,
            "inventory_levels": self._level,
            "channel_inventory_levels": self._channel_level,
            "purchase_statuses": self._status,
            "custom_fields": self._custom_field,
            "shipments": self._shipment,
            "cancellations": self._cancellation,
            "acknowledgements": self._acknowledgement,
            "disconnections": self._disconnection,
            "products": self._product,
            "sales": self._sale,
            "dropship_providers": self._provider,
            "inventory_feeds": self._feed,
        }

    def _is_new(self, *key: Any, shows_values: bool) -> bool:
        """Whether a key may be sent: in a queue that reorders, only the first of its records has a known outcome.

        Args:
            *key: The key.
            shows_values: Whether reading back shows the values, so that a later record can wait for an earlier one.
        """
        is_ordered = self.options["inbound_order"] == "arrival" and self._is_inbound
        if key in self._sent and not is_ordered and not (shows_values and self.settings["confirm_seconds"]):
            return False
        self._sent.add(key)
        return True

    def _feed_variant(self) -> dict[str, Any] | None:
        external_id = f"e{self.chance.randrange(12)}"
        if self._is_inbound and not self._is_new(VARIANTS, external_id, shows_values=True):
            return None
        fields = {"vendorSku": f"v-{external_id}", "inventoryQuantity": self.chance.randrange(50)}
        if self.chance.random() < 0.5:
            fields["name"] = self.chance.choice(TEXTS)
        if self.chance.random() < 0.5:
            fields["costPrice"] = self.chance.choice([1, 2.345, 10.5])
        if self.chance.random() < 0.1:
            self.expected.rejected += 1
            return record(VARIANTS, externalId=external_id, **{**fields, "inventoryQuantity": -1})
        self.expected.put(VARIANTS, "externalId", external_id, **fields)
        self.expected.removed.discard(external_id)
        return record(VARIANTS, externalId=external_id, **fields)

    def _removal(self) -> dict[str, Any] | None:
        external_id = f"e{self.chance.randrange(12)}"
        if self._is_inbound:  # the order between a removal and the queue is not guaranteed
            external_id = f"gone-{external_id}"
        self.expected.fields.pop((VARIANTS, "externalId", external_id), None)
        self.expected.removed.add(external_id)
        return record("inventory_feed_variant_removals", externalId=external_id)

    def _update(self) -> dict[str, Any]:
        variant = self.chance.choice(OWN_VARIANTS)
        fields = {"costPrice": self.chance.choice([1, 2.345]), "tags": self.chance.choice([["A"], ["a", "B"], []])}
        self.expected.put("variants", "id", variant, **fields)
        return record("updates", resource="variants", id=variant, **fields)

    def _sale_update(self) -> dict[str, Any]:
        sale, notes = self.chance.choice(SALES), self.chance.choice(TEXTS)
        self.expected.put("sales", "id", sale, notes=notes)
        return record("sales_updates", id=sale, notes=notes)

    def _level(self) -> dict[str, Any]:
        quantity = self.chance.randrange(90)
        self.expected.put("variants", "id", 11, inventoryQuantity=quantity)
        return record("inventory_levels", sku="s1", quantity=quantity)

    def _channel_level(self) -> dict[str, Any]:
        quantity = self.chance.randrange(90)
        self.expected.put("variants", "id", 12, inventoryQuantity=quantity)
        return record("channel_inventory_levels", externalId="shop-12", quantity=quantity)

    def _status(self) -> dict[str, Any]:
        purchase, status = self.chance.choice(PURCHASES), self.chance.choice([1, 2, 3])
        self.expected.put("purchases", "id", purchase, purchaseStatusId=status)
        return record("purchase_statuses", purchaseId=purchase, purchaseStatusId=status)

    def _custom_field(self) -> dict[str, Any]:
        sale, value = self.chance.choice(SALES), self.chance.choice(["red", "blue"])
        self.expected.put("custom_field_sales", "saleId", sale, value=value)
        return record("custom_fields", resource="sales", resourceId=sale, key="colour", value=value)

    def _shipment(self) -> dict[str, Any]:
        purchase, number = self.chance.choice(PURCHASES), self.chance.choice(["1z 999 a", "B2"])
        self.expected.shipped.add((purchase, _plain(number)))
        return record("shipments", purchaseId=purchase, trackingNumber=number)

    def _cancellation(self) -> dict[str, Any]:
        resource = self.chance.choice(["purchases", "sales"])
        row_id = 23 if resource == "purchases" else self.chance.choice(SALES)
        self.expected.cancelled.add((resource, row_id))
        return record("cancellations", **{"purchaseId" if resource == "purchases" else "saleId": row_id})

    def _acknowledgement(self) -> dict[str, Any] | None:
        variant, number = self.chance.choice(OWN_VARIANTS), self.chance.choice([1, 2])
        if not self._is_new("connection", number, shows_values=False):
            return None
        self.expected.put(VARIANTS, "externalId", f"ack-{number}", variantId=variant)
        return _connection("acknowledgements", variant, number)

    def _disconnection(self) -> dict[str, Any] | None:
        variant, number = self.chance.choice(OWN_VARIANTS), self.chance.choice([1, 2])
        if not self._is_new("connection", number, shows_values=False):
            return None
        before = self.expected.fields.get((VARIANTS, "externalId", f"ack-{number}"), {}).get("variantId")
        self.expected.put(VARIANTS, "externalId", f"ack-{number}", variantId=None if before == variant else before)
        return _connection("disconnections", variant, number)

    def _product(self) -> dict[str, Any] | None:
        external_id, name = self.chance.choice(["p1", "p2"]), self.chance.choice(TEXTS[:4])
        if self._is_inbound and not self._is_new("products", external_id, shows_values=False):
            return None
        self.expected.put("variants", "sku", f"sku-{external_id}", name=name)
        self.expected.put("channel_variants", "externalId", external_id, externalSku=f"sku-{external_id}")
        return record("products", externalId=external_id, sku=f"sku-{external_id}", name=name)

    def _sale(self) -> dict[str, Any] | None:
        external_id, notes = self.chance.choice(["S1", "S2"]), self.chance.choice(TEXTS[:4])
        if self._is_inbound and not self._is_new("sales", external_id, shows_values=False):
            return None
        self.expected.put("sales", "externalId", external_id, notes=notes)
        line = {"externalId": "l1", "name": "Cup", "quantity": 1, "price": 2, "variant": {"sku": "s1"}}
        customer = {"email": "a@example.com", "firstName": "A", "lastName": "B"}
        return record(
            "sales", externalId=external_id, saleDefaults={"notes": notes}, customer=customer, lineItems=[line]
        )

    def _provider(self) -> dict[str, Any]:
        external_id, name = self.chance.choice(["maker", "p2"]), self.chance.choice(["Maker", "Other "])
        self.expected.put("dropship_providers", "externalId", external_id, name=name)
        return record("dropship_providers", externalId=external_id, name=name)

    def _feed(self) -> dict[str, Any]:
        delimiter = self.chance.choice([",", ";"])
        fields = {"dropshipProviderId": 3, "resourceType": "webhook", "delimiter": delimiter}
        self.expected.put("inventory_feeds", "name", "Second", **fields)
        return record("inventory_feeds", name="Second", **fields)

    def _prepare(self, sandbox: Sandbox) -> None:
        """Give the company what the records are about."""
        for sale in SALES:
            sandbox.upsert("sales", {"id": sale, "channelId": CHANNEL})
            sandbox.upsert("sale_items", {"id": sale * 10, "saleId": sale, "quantity": 1})
        sandbox.upsert("channel_variants", {"id": 1, "channelId": CHANNEL, "variantId": 12, "externalId": "shop-12"})
        for number in (1, 2):
            row = {"externalId": f"ack-{number}", "vendorSku": f"av-{number}", "inventoryFeedId": FEED}
            sandbox.upsert(VARIANTS, {"id": 600 + number, **row})
        for number in range(self.chance.choice([0, 8])):
            sandbox.upsert(
                VARIANTS, {"id": 500 + number, "inventoryFeedId": FEED, "externalId": f"e{number}", "vendorSku": "old"}
            )


def _connection(action: str, variant: int, number: int) -> dict[str, Any]:
    return record(
        action, sku="s1" if variant == OWN_VARIANTS[0] else "s2", vendorSku=f"av-{number}", dropshipProviderId=3
    )


def _check_once(what: str, found: list[Any], expected: set[Any], *, left_out: int) -> None:
    if len(found) > len(set(found)) or not set(found) <= expected or len(expected - set(found)) > left_out:
        raise Violation(f"{what} are {sorted(found)}, expected {sorted(expected)}")


def _plain(number: str) -> str:
    return "".join(number.split()).upper()


def _equal(shown: Any, stored: Any) -> bool:
    if isinstance(stored, (int, float)) and shown is not None:
        return float(shown) == float(stored)
    return bool(shown == stored)


def one_seed(seed: int) -> str | None:
    """Run one seed in a directory of its own; answers what does not hold, or None."""
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_STATE_HOME"] = name  # the ledger of another seed is that of another account
        play = Play(seed, Path(name))
        try:
            play.play()
        except Violation as violation:
            return f"{violation}\n    options {play.options}\n    settings {play.settings}"
    return None


if __name__ == "__main__":
    run_seeds(one_seed)
