"""Rows that the source has deleted: rejected, removed, set to zero or ignored, as the setting says."""

from __future__ import annotations

from typing import Any

import pytest
from odd_server import odd_server
from target_runs import CHANNEL, FEED, VARIANTS, deliver, jetti, record, schema, state, stock, variant

ROWS: dict[str, list[dict[str, Any]]] = {
    "inventory-feeds": [{"id": FEED, "resourceType": "webhook", "hash": "h"}],
    "custom-channels": [{"id": 2, "channelId": CHANNEL, "webhookHash": "c5"}],
    "variants": [{"id": 11, "inventoryQuantity": 5}],
    "channel-variants": [],
    "inventory-feed-variants": [],
}
GONE = {"_sdc_deleted_at": "2026-01-01T00:00:00Z"}
LINK = {"sku": "s1", "vendorSku": "v1", "dropshipProviderId": 3}


def writes(action: str, fields: dict[str, Any], how: str, **settings: Any) -> tuple[Any, list[Any]]:
    """The error, and what is sent, for a deleted row."""
    with odd_server(rows=ROWS) as odd:
        columns: dict[str, Any] = {name: {} for name in fields}
        messages = (schema(action, **columns), record(action, **fields), state(1))
        outcome = deliver(odd, *messages, deleted_rows=how, **settings)
        assert outcome.states == ([] if outcome.error else [1])
        return outcome.error, [(method, path.rpartition("/")[2], body) for method, path, body in odd.writes]


@pytest.mark.parametrize(
    ("action", "fields", "how", "sent"),
    [
        (VARIANTS, {"externalId": "a", "vendorSku": None}, "remove",
         ("DELETE", "remove-by-external-id.json", {"externalId": "a"})),
        (VARIANTS, {"external_id": "a", "vendor_sku": None, "inventory_quantity": 5}, "zero",
         ("POST", "parse-webhooks.json", [{"externalId": "a", "inventoryQuantity": 0}])),
        (VARIANTS, {"id": 9}, "zero", ("PUT", "9.json", {"inventoryQuantity": 0})),
        ("inventory_feed_variant_removals", {"externalId": "a"}, "remove",
         ("DELETE", "remove-by-external-id.json", {"externalId": "a"})),
        ("acknowledgements", LINK, "remove",
         ("PUT", "disconnect-inventory-feed-variant-batches.json",
          [{"sku": "s1", "vendorSkus": [{"vendorSku": "v1", "dropshipProviderId": 3}]}])),
        ("inventory_levels", {"variantId": 11, "quantity": None}, "zero", ("PUT", "set-level.json", {"quantity": 0})),
        ("channel_inventory_levels", {"externalId": "a"}, "zero",
         ("PUT", "set-variant-level.json", {"externalId": "a", "quantity": 0})),
    ],
)  # fmt: skip
def test_a_deleted_row_is_removed_or_set_to_zero(action: str, fields: dict[str, Any], how: str, sent: Any) -> None:
    """As the setting says, where the action can; of the row nothing but the key need be known."""
    assert writes(action, {**fields, **GONE}, how) == (None, [sent])


@pytest.mark.parametrize(
    ("action", "fields", "how", "said"),
    [
        (VARIANTS, {"externalId": "a"}, "reject", "set deleted_rows to remove or zero or ignore"),
        ("sales", {"externalId": "a"}, "reject", "deleted_rows is reject; set deleted_rows to ignore"),
        ("sales", {"externalId": "a"}, "remove", "deleted_rows is remove, which sales does not support"),
        ("shipments", {"purchaseId": 21}, "zero", "deleted_rows is zero, which shipments does not support"),
        ("disconnections", LINK, "remove", "which disconnections does not support"),
        ("updates", {"resource": "sales", "id": 1}, "remove", "which updates does not support"),
        (VARIANTS, {"id": 9}, "remove", "externalId is missing"),
    ],
)
def test_a_deleted_row_is_rejected_where_nothing_can_be_done(
    action: str, fields: dict[str, Any], how: str, said: str
) -> None:
    """The message names what can be set instead."""
    error, sent = writes(action, {**fields, **GONE}, how)
    assert said in str(error)
    assert sent == []


@pytest.mark.parametrize(
    ("mark", "is_deleted"),
    [
        ({"_SDC_DELETED_AT": "2026-01-01"}, True),
        ({"_fivetran_deleted": True}, True),
        ({"_ab_cdc_deleted_at": "2026-01-01"}, True),
        ({"_sdc_deleted_at": None}, False),
        ({"_sdc_deleted_at": " "}, False),
        ({"_fivetran_deleted": "false"}, False),
        ({"_sdc_batched_at": "2026-01-01"}, False),
    ],
)
@pytest.mark.parametrize("is_listed", [True, False])
def test_a_deleted_row_is_ignored(mark: dict[str, Any], is_deleted: bool, is_listed: bool) -> None:
    """It is counted, and STATE passes it; a row that is only marked by a loader otherwise is as any other."""
    with jetti() as sandbox:
        columns: dict[str, Any] = {name: {} for name in ("externalId", "vendorSku", *(mark if is_listed else ()))}
        outcome = deliver(
            sandbox,
            schema(**columns),
            variant(1, 1, **mark),
            variant(2, 2),
            state(1),
            deleted_rows="ignore",
        )
        assert (outcome.error, outcome.states) == (None, [1])
        assert (outcome.of().ignored, outcome.of().accepted) == ((1, 1) if is_deleted else (0, 2))
        assert outcome.of().open == 0
        assert stock(sandbox) == ({"e2": 2} if is_deleted else {"e1": 1, "e2": 2})


def test_a_removal_keeps_its_place_among_the_records_of_its_key() -> None:
    """A row that was deleted and came back is there; one that was changed and deleted is gone."""
    with jetti() as sandbox:
        outcome = deliver(
            sandbox,
            schema(),
            *(variant(number, 1) for number in (1, 2)),
            variant(1, 1, **GONE),
            variant(2, 1, **GONE),
            variant(2, 7),
            delivery="api",
            deleted_rows="remove",
        )
        assert (outcome.error, outcome.of().received, outcome.of().open) == (None, 5, 0)
        assert {
            row["externalId"]: row["inventoryQuantity"] for row in sandbox.rows(VARIANTS) if row["status"] != "removed"
        } == {"e2": 7}
