"""What the tap offers, to the field, is written down: a change of it is a change of a file under review."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from runs import TOKEN, UNLIMITED
from tap_jetti.facts import resources
from tap_jetti.tap.tap import TapJetti

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "catalog.txt"


@cache
def offered() -> dict[str, list[str]]:
    """The tap's catalog as lines of text, by stream: first the stream, then its fields."""
    tap = TapJetti(config={"api_token": TOKEN, **UNLIMITED}, parse_env_config=False)
    catalog = json.loads(json.dumps(tap.catalog_dict))
    return {entry["stream"]: list(lines(entry)) for entry in catalog["streams"]}


def lines(entry: dict[str, Any]) -> Any:
    """One line for a stream, and one for each of its fields."""
    metadata = {tuple(one["breadcrumb"]): one["metadata"] for one in entry["metadata"]}
    root = metadata[()]
    selected = "selected" if root.get("selected") or root.get("selected-by-default") else "to be selected"
    method = " by ".join(filter(None, [entry["replication_method"], entry.get("replication_key")]))
    yield f"{entry['stream']}: key {','.join(entry['key_properties'])}, {method}, {selected}"
    for name, facts in sorted(entry["schema"]["properties"].items()):
        types = facts["type"] if isinstance(facts["type"], list) else [facts["type"]]
        kind = "any JSON" if len(types) > 2 else facts.get("format") or types[0]
        inclusion = metadata["properties", name].get("inclusion")
        yield (
            f"{entry['stream']}.{name} {kind}"
            f"{'' if 'null' in types else ' not null'}{'' if inclusion == 'available' else f' {inclusion}'}"
        )


@cache
def golden() -> dict[str, list[str]]:
    """The golden lines by stream."""
    found: dict[str, list[str]] = {}
    for line in GOLDEN.read_text(encoding="utf-8").splitlines() if GOLDEN.exists() else []:
        found.setdefault(line.partition(" ")[0].rstrip(":").partition(".")[0], []).append(line)
    return found


def test_the_golden_catalog_knows_all_streams(request: pytest.FixtureRequest) -> None:
    """There is a golden entry for each stream and for nothing else (``pytest --update-golden`` writes them anew)."""
    if request.config.getoption("--update-golden") or os.environ.get("UPDATE_GOLDEN"):
        text = "\n".join(line for name in sorted(offered()) for line in offered()[name])
        GOLDEN.write_text(text + "\n", encoding="utf-8")
        golden.cache_clear()
    assert sorted(golden()) == sorted(offered())


@pytest.mark.parametrize("stream", resources.names())
def test_a_stream_is_as_it_was(stream: str, request: pytest.FixtureRequest) -> None:
    """A stream has the keys, the replication, the selection, the fields and the types that are written down."""
    if request.config.getoption("--update-golden"):
        pytest.skip("the golden catalog is being written")
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
