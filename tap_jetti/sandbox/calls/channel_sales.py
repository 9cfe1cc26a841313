"""Sales that a channel sends; each attempt adds a row to ``sale_imports``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tap_jetti.sandbox.calls import channel_products, validation
from tap_jetti.sandbox.calls.inbound import Job
from tap_jetti.sandbox.http.problems import Problem

if TYPE_CHECKING:
    from tap_jetti.sandbox.data.account import Account
    from tap_jetti.sandbox.data.documents import Document

_CODE = "api.channels.process_sale"


def manual_sale(account: Account, channel_id: int, body: object) -> Document:
    """Add a sale, or update the one with its external id in the channel.

    Raises:
        Problem: A field is missing or invalid, or a variant is unknown.
    """
    account.get("channels", channel_id)
    sale = validation.as_object(body)
    sale_import = {"channelId": channel_id, "externalId": str(sale.get("externalId")), "payload": sale}
    try:
        _check(account, channel_id, sale)
    except Problem as problem:
        if account.options.sale_imports:
            account.create("sale_imports", {**sale_import, "status": "error", "problem": problem.body()})
        raise
    with account.database.transaction():
        written = _write(account, channel_id, sale)
        if account.options.sale_imports:
            account.create("sale_imports", {**sale_import, "status": "success", "saleId": written["id"]})
    return written


def jobs(account: Account, channel_id: int, body: object) -> list[Job]:
    """The job of an inbound sale."""
    sale = validation.as_object(body)

    def is_new() -> bool:
        external_id = str(sale.get("externalId"))
        return account.find("sales", externalId=external_id, channelId=channel_id) is None

    return [Job(is_new, lambda: manual_sale(account, channel_id, sale))]


def _check(account: Account, channel_id: int, sale: Mapping[str, Any]) -> None:
    validation.require(sale, f"{_CODE}.missing", "externalId", "lineItems", "customer")
    if not isinstance(sale["customer"], Mapping) or not isinstance(sale["lineItems"], list):
        raise Problem(422, f"{_CODE}.invalid", "customer is an object, lineItems an array.")
    validation.require(sale["customer"], f"{_CODE}.customer.missing", "email")
    for line in sale["lineItems"]:
        item = validation.as_object(line)
        validation.require(item, f"{_CODE}.line_item.missing", "externalId", "quantity", "price")
        validation.writable_fields("sale_items", item, strict=account.options.write_validation)
        if not _may_create_variants(sale) and _variant(account, channel_id, item) is None:
            # The vendor's own code for this error, with its library's default status.
            raise Problem(500, f"{_CODE}.missing", f"The variant of {item['externalId']} is missing.")


def _may_create_variants(sale: Mapping[str, Any]) -> bool:
    options = sale.get("options")
    return isinstance(options, Mapping) and bool(options.get("findOrCreateChannelVariant"))


def _variant(account: Account, channel_id: int, item: Mapping[str, Any]) -> Document | None:
    given = item.get("variant")
    variant = given if isinstance(given, Mapping) else {}
    if variant.get("externalId") is not None:
        found = account.find("channel_variants", externalId=str(variant["externalId"]), channelId=channel_id)
        if found is not None and found.get("variantId") is not None:
            return account.get("variants", found["variantId"])
    sku = variant.get("sku") or variant.get("externalSku")
    return None if sku is None else account.find("variants", sku=str(sku))


def _write(account: Account, channel_id: int, sale: Mapping[str, Any]) -> Document:
    external_id = str(sale["externalId"])
    lines = [{**item, **validation.writable_fields("sale_items", item, strict=False)} for item in sale["lineItems"]]
    subtotal = round(sum(float(line["price"]) * int(line["quantity"]) for line in lines), 2)
    shipping = [rate for rate in sale.get("shipping") or [] if isinstance(rate, Mapping)]
    shipping_total = sum(float(rate.get("price") or 0) for rate in shipping)
    fields = {
        **validation.writable_fields("sales", sale.get("saleDefaults") or {}, strict=False),
        **validation.writable_fields("sales", sale, strict=False),
        "externalId": external_id,
        "channelId": channel_id,
        "customerId": _customer(account, sale["customer"])["id"],
        "quantity": sum(int(line["quantity"]) for line in lines),
        "subtotal": subtotal,
        "total": round(subtotal + shipping_total, 2),
    }
    rows = account.database.find("sales", externalId=external_id, channelId=channel_id)
    if rows:
        written = account.change("sales", rows[0], fields)
    else:
        written = account.create("sales", {"status": "pending", "cancelled": False, **fields})
    for line in lines:
        _write_line(account, channel_id, written["id"], line)
    for rate in shipping:
        _write_shipping(account, written["id"], rate)
    return written


def _customer(account: Account, customer: Mapping[str, Any]) -> Document:
    fields = validation.writable_fields("customers", customer, strict=False)
    rows = account.database.find("customers", email=str(customer["email"]))
    if rows:
        return account.change("customers", rows[0], fields)
    return account.create("customers", fields)


def _write_line(account: Account, channel_id: int, sale_id: int, line: Mapping[str, Any]) -> None:
    variant = _variant(account, channel_id, line)
    if variant is None:
        given = line.get("variant") or {}
        item = {"externalId": line["externalId"], "name": line.get("name"), "sku": line["externalId"]}
        created = channel_products.import_one(account, channel_id, {**item, **given})
        variant = account.get("variants", created["variantId"])
    external_id = str(line["externalId"])
    fields = {
        **validation.writable_fields("sale_items", line, strict=False),
        "externalId": external_id,
        "quantity": int(line["quantity"]),
        "price": float(line["price"]),
        "saleId": sale_id,
        "variantId": variant["id"],
    }
    rows = account.database.find("sale_items", externalId=external_id, saleId=sale_id)
    if rows:
        account.change("sale_items", rows[0], fields)
    else:
        account.create("sale_items", fields)


def _write_shipping(account: Account, sale_id: int, rate: Mapping[str, Any]) -> None:
    level = rate.get("serviceLevel") or rate.get("code")
    fields = {
        "saleId": sale_id,
        "serviceLevel": level,
        "serviceLevelTerms": rate.get("name"),
        "price": float(rate.get("price") or 0),
    }
    rows = account.database.find("sale_shipping_rates", saleId=sale_id, serviceLevel=level)
    if rows:
        account.change("sale_shipping_rates", rows[0], fields)
    else:
        account.create("sale_shipping_rates", fields)
