"""A server that asks to wait for long ends the run, whatever other streams there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runs import LOGGER, config_for
from tap_jetti.client.http_errors import error_from_response
from tap_jetti.errors import ForbiddenError, ResponseTooLargeError, RetriableError, ServerError
from tap_jetti.tap.failed_streams import FailedStreams

if TYPE_CHECKING:
    from collections.abc import Callable

    from runs import Commands
    from tap_jetti.sandbox import Sandbox


def test_a_run_that_must_wait_an_hour_ends_at_once(sandboxes: Callable[..., Sandbox], commands: Commands) -> None:
    """One request is sent, and the last line says how long Jetti asks to wait."""
    sandbox = sandboxes(faults=1.0, fault_kinds=("429",), retry_after="seconds", retry_after_seconds=3600.0)
    config = config_for(sandbox, retry_seconds=5, concurrency=1)
    output = commands.run(config, streams=("sales", "products", "purchases"))
    assert output.code != 0
    assert "Jetti asks to wait 3600 s, which is longer than retry_seconds (5). Run again after 2" in output.errors
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_an_error_that_ends_the_run_is_not_of_one_stream(status: int) -> None:
    """No other stream is tried after it."""
    error = error_from_response(status, b"", method="GET", path="/api/sales.json", retry_after=3600)
    assert isinstance(error, RetriableError)
    error.ends_run = True
    with pytest.raises(RetriableError):
        FailedStreams(LOGGER, {}).add("sales", error)


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ([], 0),
        (["permission", "permission"], 77),
        (["size"], 78),
        (["permission", "size"], 1),
        (["permission", "server", "size"], 75),
    ],
)
def test_the_exit_code_is_what_a_retry_can_do(errors: list[str], code: int) -> None:
    """A retry that may help one stream is advised; otherwise all failures must agree on the code."""
    known = {
        "permission": ForbiddenError("Forbidden", method="GET", path="/api/sales.json"),
        "size": ResponseTooLargeError("Too large", method="GET", path="/api/sales.json"),
        "server": ServerError("Failed", method="GET", path="/api/sales.json"),
    }
    failed = FailedStreams(LOGGER, {})
    for name in errors:
        failed.add(name, known[name])
        failed.note_success()
    assert failed.exit_code == code
