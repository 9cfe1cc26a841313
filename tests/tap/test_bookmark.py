"""The bookmark of a stream: when it moves, and when it must not."""

from __future__ import annotations

from typing import Any

import pytest

from tap_jetti.tap.bookmark import Bookmark

FIRST = "2020-01-01T00:00:01.000Z"
SECOND = "2020-01-01T00:00:02.000Z"
THIRD = "2020-01-01T00:00:03.000Z"


class State:
    """The state of a stream, as the SDK's state manager has it."""

    def __init__(self, bookmark: str | None) -> None:
        """Begin with a bookmark, or with none."""
        self.is_flushed = True
        self.stream_state: dict[str, Any] = (
            {"replication_key": "updatedAt", "replication_key_value": bookmark} if bookmark else {}
        )


@pytest.mark.parametrize(
    ("before", "to", "after"),
    [
        (None, FIRST, FIRST),
        (FIRST, SECOND, SECOND),
        (SECOND, FIRST, SECOND),
        (FIRST, FIRST, FIRST),
        (FIRST, None, FIRST),
        (None, None, None),
    ],
)
def test_it_only_moves_forward(before: str | None, to: str | None, after: str | None) -> None:
    """An earlier timestamp, or none, leaves the bookmark where it is, and nothing new is to be written."""
    state = State(before)
    bookmark = Bookmark(state)
    bookmark.advance(to)
    assert bookmark.value == after
    assert state.is_flushed == (before == after)


def test_it_waits_for_the_batch() -> None:
    """While it is held, it moves only on release, to the latest timestamp, and is held again."""
    bookmark = Bookmark(State(FIRST))
    bookmark.hold()
    bookmark.advance(THIRD)
    bookmark.advance(SECOND)
    assert bookmark.value == FIRST
    bookmark.release()
    assert bookmark.value == THIRD
    bookmark.advance("2020-01-01T00:00:04.000Z")
    assert bookmark.value == THIRD


@pytest.mark.parametrize("before", [None, FIRST])
def test_it_goes_back_after_an_incomplete_read(before: str | None) -> None:
    """Rows that are missing are before where the bookmark has moved, so the next run reads from the old one again."""
    state = State(before)
    bookmark = Bookmark(state)
    bookmark.advance(THIRD)
    state.is_flushed = True
    bookmark.restore(before)
    assert bookmark.value == before
    assert not state.is_flushed


@pytest.mark.parametrize("before", [None, FIRST])
def test_a_batch_after_an_incomplete_read_does_not_move_it(before: str | None) -> None:
    """The last batch of an incomplete read is announced, too, but it must not move the bookmark past missing rows."""
    bookmark = Bookmark(State(before))
    bookmark.hold()
    bookmark.advance(THIRD)
    bookmark.restore(before)
    bookmark.release()
    assert bookmark.value == before
