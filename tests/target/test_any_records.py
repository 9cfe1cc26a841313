"""Records of any names and values: none ends in a traceback, and each is sent, rejected or counted."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odd_server import odd_server
from target_runs import CHANNEL, FEED, deliver, state

from tap_jetti.errors import JettiError
from tap_jetti.tap.column_names import to_snake_case
from tap_jetti.target.actions import ACTIONS
from tap_jetti.target.columns import DELETION_MARKS

ROWS: dict[str, list[dict[str, Any]]] = {
    "inventory-feeds": [{"id": FEED, "name": "Stock", "resourceType": "webhook", "hash": "h", "dropshipProviderId": 3}],
    "custom-channels": [{"id": 2, "channelId": CHANNEL, "webhookHash": "c5"}],
    "dropship-providers": [{"id": 3, "externalId": "1", "name": "Maker"}],
    "inventory-feed-variants": [
        {
            "id": 1,
            "externalId": "1",
            "inventoryFeedId": FEED,
            "inventoryQuantity": 1,
            "updatedAt": "2026-01-01T00:00:00Z",
        }
    ],
    "variants": [{"id": 1, "sku": "1", "inventoryQuantity": 1}],
    "channel-variants": [{"id": 1, "externalId": "1", "channelId": CHANNEL, "variantId": 1}],
    "purchases": [{"id": 1, "purchaseStatusId": 1}],
    "purchase-statuses": [{"id": 1, "name": "1"}],
    **{name: [] for name in ("dropshipments", "dropshipment-items", "purchase-items", "sales", "sale-items")},
}
STYLES = (str, to_snake_case, str.upper, lambda name: f"\ufeff{name}", lambda name: f"_{name}", lambda name: name[:-1])
TOKENS = ["NaN", "-Infinity", "1E+999999999", "1e-999999999", "9" * 5_000, "1E+5", "12345.0", "-0", "2147483648", "0.5"]
TEXTS = [
    "",
    " ",
    "1",
    "1_2",
    "NaN",
    "[]",
    '["1"]',
    '[{"sku": "1"}]',
    "{",
    "null",
    "\0",
    "\ud83d",
    "2026-01-01",
    "sales",
]
TEXT = st.sampled_from(TEXTS) | st.text(max_size=5)
SCALAR = st.one_of(st.none(), st.booleans(), st.integers(-2, 2**33), TEXT)
NESTED_NAMES = st.sampled_from(["vendorSku", "dropshipProviderId", "quantity", "variant", "external_id", "x"]) | TEXT
VALUE = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NESTED_NAMES, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def inputs(draw: st.DrawFn) -> tuple[str, list[str]]:
    """An action, and the lines of its input."""
    action = draw(st.sampled_from(sorted(ACTIONS)))
    known = sorted(ACTIONS[action].known_fields()) + sorted(DELETION_MARKS)
    keys = ACTIONS[action].record_schema().get("required", [])
    name = st.sampled_from(known) | st.sampled_from(keys or known) | TEXT
    column = st.tuples(name, st.sampled_from(STYLES)).map(lambda pair: pair[1](pair[0]))
    columns = draw(st.lists(column, max_size=6))
    records = draw(
        st.lists(st.dictionaries(st.sampled_from(columns) if columns else column, VALUE, max_size=6), max_size=4)
    )
    if draw(st.booleans()):
        records = [{**dict.fromkeys(keys, draw(SCALAR)), **one} for one in records]
    token = draw(st.sampled_from(TOKENS))
    head = {"type": "SCHEMA", "stream": action, "schema": {"properties": {one: {} for one in columns}}}
    lines = [json.dumps({**head, "key_properties": []})]
    lines += [
        json.dumps({"type": "RECORD", "stream": action, "record": one}).replace('"1_2"', token) for one in records
    ]
    return action, lines


def check(given_input: tuple[str, list[str]], **chosen: Any) -> None:
    """Deliver an input, and check that nothing of it is lost; then send what was rejected again."""
    _, lines = given_input
    with TemporaryDirectory() as directory, odd_server(rows=ROWS) as odd:
        path = Path(directory, "rejects")
        chosen = {**chosen, "on_reject": "set_aside", "rejects_path": str(path)}
        outcome = deliver(odd, *lines, state(1), retry_seconds=1, **chosen)
        assert outcome.error is None or isinstance(outcome.error, JettiError), repr(outcome.error)
        figures = outcome.figures.values()
        if outcome.error is None:
            assert outcome.states == [1]
            assert sum(one.open for one in figures) == 0
            assert sum(one.received for one in figures) == len(lines) - 1
            assert bool(outcome.code) is any(one.rejected for one in figures)
            kept = path.read_text(encoding="utf-8").count('{"type":"RECORD"')
            assert kept >= sum(one.rejected for one in figures)
            size = path.stat().st_size
            again = deliver(odd, path.read_text(encoding="utf-8").rstrip("\n"), retry_seconds=1, **chosen)
            assert again.error is None or isinstance(again.error, JettiError), repr(again.error)
            assert again.error or path.stat().st_size == size


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    inputs(),
    st.fixed_dictionaries(
        {
            "delivery": st.sampled_from(["inbound", "api"]),
            "deleted_rows": st.sampled_from(["reject", "remove", "zero", "ignore"]),
            "unknown_fields": st.sampled_from(["warn", "error"]),
        }
    ),
)
def test_no_record_is_lost_whatever_it_holds(given_input: tuple[str, list[str]], chosen: dict[str, Any]) -> None:
    """Any action, any columns, any values, any choice; and the rejects file does not grow when it is sent again."""
    logging.disable(logging.CRITICAL)
    try:
        check(given_input, **chosen)
    finally:
        logging.disable(logging.NOTSET)
