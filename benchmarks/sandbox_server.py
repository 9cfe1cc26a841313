"""The project's sandbox. It obeys JSON lines on standard input and stops at the end of the input."""

from __future__ import annotations

import json
import sys
from itertools import count
from typing import TYPE_CHECKING, Any

from fixture import TOKEN, narrow_row, wide_row

from tap_jetti.facts.timestamps import from_epoch
from tap_jetti.sandbox import Options, Sandbox

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def fill(sandbox: Sandbox, wanted: Mapping[str, int], *, wide: bool) -> None:
    """Fill each resource with the given number of rows."""
    make = wide_row if wide else narrow_row
    for resource, rows in wanted.items():
        sandbox.replace(resource, map(make, range(rows)))


def requests(sandbox: Sandbox) -> list[Any]:
    """The requests that arrived: time, resource and status of each."""
    return [
        [entry.time, entry.path.removeprefix("/api/").removesuffix(".json"), entry.status] for entry in sandbox.requests
    ]


def change(sandbox: Sandbox, wanted: Mapping[str, Sequence[int]], hours_ago: int) -> None:
    """Change or add the rows with the given ids of each resource, one every second up to so many hours ago."""
    until = sandbox.now() - 3600 * hours_ago
    for resource, ids in wanted.items():
        for number, row_id in enumerate(ids):
            shown = from_epoch(until - len(ids) + number)
            sandbox.upsert(resource, {"id": row_id, "companyId": 7, "updatedAt": shown})


def fail_once(sandbox: Sandbox, at: int) -> None:
    """Let the request with this number, counted from now, fail with 503; 0: none."""
    numbers = count(1)

    def decide(*_: object) -> None:
        sandbox.options.faults = float(next(numbers) == at)

    sandbox.options.fault_kinds = ("503",)
    sandbox.on_request = decide


def obey(sandbox: Sandbox, order: dict[str, Any]) -> object:
    """Obey one order."""
    if order["do"] == "fill":
        fill(sandbox, order["rows"], wide=order["wide"])
    elif order["do"] == "change":
        change(sandbox, order["ids"], order["hours_ago"])
    elif order["do"] == "fail_once":
        fail_once(sandbox, order["at"])
    elif order["do"] == "options":
        for name, value in order["options"].items():
            setattr(sandbox.options, name, value)
    elif order["do"] == "reset":
        sandbox.requests.clear()
    elif order["do"] == "look":
        return requests(sandbox)
    return None


def main() -> None:
    """Serve until standard input ends."""
    with Sandbox(Options(empty=True, token=TOKEN, request_log_size=1_000_000)) as sandbox:
        print(json.dumps({"reply": sandbox.api_url}), flush=True)
        for line in sys.stdin:
            print(json.dumps({"reply": obey(sandbox, json.loads(line))}), flush=True)


if __name__ == "__main__":
    main()
