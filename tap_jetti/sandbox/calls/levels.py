"""Stock levels: the inventory of a variant, set through the variant or through a channel's name for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_jetti.sandbox.calls import validation
from tap_jetti.sandbox.http.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_jetti.sandbox.data.account import Account
    from tap_jetti.sandbox.data.documents import Document


def set_level(account: Account, variant_id: int, body: object) -> Document:
    """Set the stock of a variant, and record the adjustment; returns the variant.

    Raises:
        Problem: The variant or the reason does not exist, or the quantity is missing or invalid.
    """
    fields = validation.as_object(body)
    reason = fields.get("adjustmentReasonId")
    if reason is not None and account.database.row("adjustment_reasons", reason) is None:
        raise Problem(422, "api.variants.set_level.reason_missing", "There is no such adjustment reason.")
    return _set(account, variant_id, fields, "api.variants.set_level")


def set_channel_level(account: Account, channel_id: int, body: object) -> Document:
    """Set the stock of the variant that has an external id in a channel; returns the variant.

    Raises:
        Problem: The channel has no such variant, or the quantity is missing or invalid.
    """
    fields = validation.as_object(body)
    code = "api.channels.set_variant_level"
    account.get("channels", channel_id)
    validation.require(fields, f"{code}.missing", "externalId")
    found = account.find("channel_variants", channelId=channel_id, externalId=str(fields["externalId"]))
    if found is None or found.get("variantId") is None:
        raise Problem(404, f"{code}.variant_missing", "The channel has no variant with this externalId.")
    return _set(account, found["variantId"], fields, code)


def _set(account: Account, variant_id: int, fields: Mapping[str, Any], code: str) -> Document:
    validation.require(fields, f"{code}.missing", "quantity")
    written = validation.writable_fields("variants", {"inventoryQuantity": fields["quantity"]})
    before = account.get("variants", variant_id).get("inventoryQuantity") or 0
    with account.database.transaction():
        account.create(
            "adjustments",
            {
                "variantId": variant_id,
                "adjustmentReasonId": fields.get("adjustmentReasonId"),
                "notes": fields.get("notes"),
                "quantity": written["inventoryQuantity"] - before,
            },
        )
        return account.update("variants", variant_id, written)
