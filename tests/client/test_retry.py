"""What failed, how often, and how much time has passed decide about a retry."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_jetti.client.http_errors import error_from_response
from tap_jetti.client.retry import MAX_BACKOFF, RetryPolicy, parse_retry_after


@given(
    st.text(max_size=40)
    | st.floats().map(str)
    | st.datetimes().map(lambda moment: f"{moment:%a, %d %b %Y %H:%M:%S} GMT")
)
def test_no_retry_after_breaks_the_parser(value: str) -> None:
    """Any header gives finite seconds, not below 0, or None."""
    seconds = parse_retry_after(value, now=1_600_000_000)
    assert seconds is None or 0 <= seconds < float("inf")


@given(st.integers(0, 999), st.floats(0, 10_000), st.integers(1, 60), st.floats(0, 1000), st.integers(400, 599))
def test_a_delay_never_ends_after_the_time_for_retries(
    seed: int, elapsed: float, attempts: int, seconds: float, status: int
) -> None:
    """No delay is negative or ends after the time for retries."""
    policy = RetryPolicy(seconds, random.Random(seed))
    error = error_from_response(status, b"", method="GET", path="/api/sales.json")
    wait = policy.delay(error, attempts=attempts, elapsed=elapsed, backoff=MAX_BACKOFF, repeatable=True)
    assert wait is None or 0 <= wait <= seconds - elapsed + 1e-6
    assert wait is None or status in {408, 429} or status >= 500


def test_backoffs_grow_to_their_maximum() -> None:
    """Backoffs double from half a second on, up to their maximum."""
    backoffs = RetryPolicy(300, random.Random(1)).backoffs()
    assert [next(backoffs) for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'"api.x"', b"{", b'{"title": 1}', b"\xff", b"[" * 9999])
def test_any_body_of_a_failure_is_understood(body: bytes) -> None:
    """A body that is not an RFC 7807 problem gives an error without title and detail."""
    error = error_from_response(500, body, method="GET", path="/api/sales.json")
    assert (error.title, error.detail) == (None, None)
    assert str(error) == "Server error (500 on GET /api/sales.json)."
