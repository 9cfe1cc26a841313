"""A state is understood or refused: nothing that is given as one ends in a silent full reload."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from tap_jetti.errors import SettingsError
from tap_jetti.tap.state_input import read_state

LOGGER = logging.getLogger("tests")
STREAMS = frozenset({"sales", "sale_items", "purchases", "sales_ids"})
DATE = "2020-01-01T00:00:00.000Z"
BOOKMARK = {"replication_key": "updatedAt", "replication_key_value": DATE}
STATE = {"bookmarks": {"sales": BOOKMARK}}


@pytest.mark.parametrize(
    "given",
    [
        STATE,
        {"type": "STATE", "value": STATE},
        {"singer_state": STATE},
        {"completed": {"singer_state": STATE}, "partial": {}},
        {"completed": {}, "partial": {"singer_state": STATE}},
        {"sales": BOOKMARK},
        {"sales": {"replication_key_value": DATE}},
        {"sales": BOOKMARK, "currently_syncing": None},
        {"value": STATE},
        {**STATE, "account": "as jetti sync keeps it"},
        {"singer_state": STATE, "state_id": "dev:tap-to-loader"},
        {"partial": {"singer_state": STATE}},
        {"completed": json.dumps({"singer_state": STATE}), "partial": None},
        {"state_id": "dev:tap-to-loader", "completed_state": {"singer_state": STATE}, "partial_state": {}},
        {"bookmarks": {"sales": {"updatedAt": "2020-01-01"}}},
        {"bookmarks": {"sales": {"updated_at": "2020-01-01"}}},
        {"bookmarks": {"sales": {"replication_key": "updated_at", "replication_key_value": DATE}}},
        {"bookmarks": {"sales": {"replication_key": None, "replication_key_value": DATE}}},
        {"bookmarks": {"sales": DATE}},
        {"bookmarks": {"sales": {**BOOKMARK, "replication_key_value": "2020-01-01T02:00:00+02:00"}}},
    ],
    ids=[
        "as written", "STATE message", "meltano state get", "completed", "partial", "no bookmarks level",
        "no replication_key", "no bookmarks level, another key", "value", "as jetti sync keeps it",
        "another key of Meltano", "only partial",
        "JSON text", "as Meltano stores it", "the field's own name", "its name in snake_case", "its key in snake_case",
        "replication_key is null", "a bare date", "another offset",
    ],
)  # fmt: skip
def test_the_forms_that_people_have_are_taken(given: dict[str, Any]) -> None:
    """Whatever is around a bookmark, and however its date is written, it is the same."""
    taken = read_state(given, STREAMS, LOGGER)
    taken.pop("currently_syncing", None)
    assert taken == STATE


def test_what_was_learnt_and_what_is_empty_stays() -> None:
    """Facts beside the date, other keys of Singer, and entries of streams without a date are kept."""
    state = {
        "bookmarks": {"sales": {**BOOKMARK, "server_profile": {"largest_page": 9}}, "purchases": {}},
        "currently_syncing": "sales",
    }
    assert read_state(state, STREAMS, LOGGER) == state
    assert read_state({}, STREAMS, LOGGER) == {"bookmarks": {}}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"bookmark": {"sales": BOOKMARK}}, "unknown key bookmark"),
        ({"api_token": "x"}, "unknown key api_token"),
        ({"singer_state": None}, "null where an object must be"),
        ({"type": "STATE", "value": None}, "null where an object must be"),
        ({"completed": "{", "partial": {}}, "a text in it is not JSON"),
        ({"completed": {"singer_state": STATE}, "sales": {}}, "unknown key completed"),
        ({"": {"singer_state": STATE}, "partial": {}}, "unknown key"),
        ({"completed": {"streams": []}, "partial": {}}, "unknown key streams"),
        ({"sales": BOOKMARK, "sail_items": BOOKMARK}, "Did you mean sale_items?"),
        ({"bookmarks": []}, "bookmarks is not an object"),
        ({"bookmarks": {"sales": 7}}, "the bookmark of stream sales is not an object"),
        ({"bookmarks": {"sales": None}}, "the bookmark of stream sales is null"),
        (
            {"bookmarks": {"sales": {"replication_key": "updatedAt"}}},
            "has replication_key, and no replication_key_value",
        ),
        ({"bookmarks": {"sales": {"last_updated": DATE}}}, "has last_updated, and no replication_key_value"),
        ({"bookmarks": {"sales": {"partitions": [BOOKMARK]}}}, "has partitions, and no replication_key_value"),
        ({"bookmarks": {"sales": {"replication_key_value": None}}}, "sales: null is not a date"),
        ({"bookmarks": {"sales": {"replication_key_value": "soon"}}}, "'soon'"),
        ({"bookmarks": {"sales": {"replication_key": "createdAt", "replication_key_value": DATE}}}, "createdAt"),
        (
            {"bookmarks": {"sales": {"progress_markers": {"replication_key_value": DATE}}}},
            "has progress_markers, and no replication_key_value",
        ),
        ({"bookmarks": {"sale": BOOKMARK}}, "Did you mean sales?"),
        ({"bookmarks": {"salse": BOOKMARK}}, "Did you mean sales?"),
        ({"bookmarks": {"tap_jetti-sales": BOOKMARK}}, "Did you mean sales?"),
        ({"bookmarks": {"public.sale_items": BOOKMARK}}, "Did you mean sale_items?"),
        ({"bookmarks": {"sale-items": BOOKMARK}}, "Did you mean sale_items?"),
    ],
    ids=str,
)
def test_what_is_not_understood_is_refused(given: dict[str, Any], words: str) -> None:
    """The error names what is wrong; nothing is read again by accident."""
    with pytest.raises(SettingsError) as caught:
        read_state(given, STREAMS, LOGGER)
    assert words in str(caught.value)


def test_a_stream_near_one_that_has_a_bookmark() -> None:
    """A leftover beside the bookmark that it resembles costs nothing, so it is only named."""
    state = {"bookmarks": {"sales": BOOKMARK, "sale": BOOKMARK}}
    assert read_state(state, STREAMS, LOGGER) == state


def test_a_stream_that_is_read_as_a_whole() -> None:
    """Whatever stands in the bookmark of a stream that has no use for it, nothing is read again by it."""
    state = {"bookmarks": {"sale_invoices": {"version": 1}}}
    assert read_state(state, {"sale_invoices"}, LOGGER) == state


def test_streams_that_do_not_exist_are_named(caplog: pytest.LogCaptureFixture) -> None:
    """Bookmarks of others, or of snapshots that are not extracted any more, are named and kept."""
    with caplog.at_level(logging.WARNING):
        read_state({"bookmarks": {"github_issues": BOOKMARK, "purchases_ids": {}}}, STREAMS, LOGGER)
    assert "streams that do not exist: github_issues, purchases_ids." in caplog.text
