"""What the tap offers, to the field, is written down: a change of it is a change of a file under review."""

from __future__ import annotations

from functools import cache

import pytest

import golden_catalog
from runs import REPOSITORY
from tap_jetti.facts import resources


@cache
def offered() -> dict[str, list[str]]:
    """The lines of the tap's catalog by stream."""
    return golden_catalog.by_stream()


@cache
def golden() -> dict[str, list[str]]:
    """The golden lines by stream."""
    found: dict[str, list[str]] = {}
    for line in (REPOSITORY / "tests" / "golden" / "catalog.txt").read_text(encoding="utf-8").splitlines():
        found.setdefault(line.partition(" ")[0].rstrip(":").partition(".")[0], []).append(line)
    return found


def test_the_golden_catalog_knows_all_streams() -> None:
    """There is a golden entry for each stream and for nothing else (`make generate` writes them)."""
    assert sorted(golden()) == sorted(offered())


@pytest.mark.parametrize("stream", resources.names())
def test_a_stream_is_as_it_was(stream: str) -> None:
    """A stream has the keys, the replication, the selection, the fields and the types that are written down."""
    assert offered()[stream] == golden()[stream]


def test_the_business_is_selected_by_default() -> None:
    """The streams that the issue names are selected by default, and no other."""
    named = (
        "sales sale_items sale_returns sale_return_items purchases purchase_items purchase_statuses dropshipments"
        " dropshipment_items fulfillments fulfillment_items dropship_providers inventory_feeds inventory_feed_variants"
        " variants products vendors customers channels warehouses transactions transfers purchase_invoices"
        " sale_invoices tracking_events"
    )
    chosen = {name for name, text in offered().items() if text[0].endswith(", selected")}
    assert chosen == set(named.split())


def test_the_eight_with_null_dates_are_read_whole() -> None:
    """Exactly the eight resources whose dates may be null are FULL_TABLE."""
    full = {name for name, text in offered().items() if "FULL_TABLE" in text[0]}
    assert full == {
        "purchase_invoices",
        "purchase_invoice_payments",
        "purchase_return_payments",
        "purchase_shipping_rates",
        "sale_invoices",
        "sale_invoice_payments",
        "sale_return_payments",
        "sale_shipping_rates",
    }
