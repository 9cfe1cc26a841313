"""What tests of the target share: messages, sandboxes with a feed and a channel, and runs."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from typing_extensions import override

from tap_jetti.client.clock import SystemClock
from tap_jetti.sandbox import Options, Sandbox
from tap_jetti.target.delivery.figures import Figures

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from odd_server import OddServer

FEED = 7
CHANNEL = 5
FEED_HASH = "feed-hash-not-to-be-shown"
CHANNEL_HASH = "channel-hash-not-to-be-shown"
VARIANTS = "inventory_feed_variants"


class WatchedClock(SystemClock):
    """A clock that tells when a thread begins to wait for another one.

    Attributes:
        is_waiting: Set when the thread waits.
    """

    def __init__(self, watched: threading.Thread) -> None:
        super().__init__()
        self.is_waiting = threading.Event()
        self._watched = watched

    @override
    def wait(self, condition: threading.Condition, seconds: float | None = None) -> bool:
        if threading.current_thread() is self._watched:
            self.is_waiting.set()
        return super().wait(condition, seconds)


def schema(stream: str = VARIANTS, *keys: str, **properties: Any) -> dict[str, Any]:
    """A SCHEMA message; fields may be of any type unless told otherwise."""
    names = properties or {"externalId": {}, "vendorSku": {}, "inventoryQuantity": {}}
    return {
        "type": "SCHEMA",
        "stream": stream,
        "schema": {"type": "object", "properties": names},
        "key_properties": list(keys),
    }


def record(stream: str = VARIANTS, **fields: Any) -> dict[str, Any]:
    """A RECORD message."""
    return {"type": "RECORD", "stream": stream, "record": fields}


def variant(number: int, quantity: Any, **fields: Any) -> dict[str, Any]:
    """A RECORD of an inventory feed variant."""
    return record(externalId=f"e{number}", vendorSku=f"v{number}", inventoryQuantity=quantity, **fields)


def state(value: Any) -> dict[str, Any]:
    """A STATE message."""
    return {"type": "STATE", "value": value}


def company(sandbox: Sandbox) -> Sandbox:
    """Give an empty sandbox a webhook feed, a channel, and what they refer to."""
    sandbox.upsert("dropship_providers", {"id": 3, "name": "Maker", "externalId": "maker"})
    sandbox.upsert(
        "inventory_feeds",
        {"id": FEED, "name": "Stock", "resourceType": "webhook", "hash": FEED_HASH, "dropshipProviderId": 3},
    )
    sandbox.upsert("channels", {"id": CHANNEL, "name": "Shop", "hash": "no"})
    sandbox.upsert("custom_channels", {"id": 2, "channelId": CHANNEL, "webhookHash": CHANNEL_HASH})
    sandbox.upsert("variants", {"id": 11, "sku": "s1", "name": "Cup"})
    sandbox.upsert("variants", {"id": 12, "sku": "s2", "name": "Jug"})
    for number, name in ((1, "Open"), (2, "Sent"), (3, "Late"), (4, "late")):
        sandbox.upsert("purchase_statuses", {"id": number, "name": name})
    for purchase in (21, 22, 23):
        sandbox.upsert("purchases", {"id": purchase, "purchaseStatusId": 1})
        sandbox.upsert("purchase_items", {"id": purchase * 10, "purchaseId": purchase, "quantity": 2})
    sandbox.upsert("sales", {"id": 31, "externalId": "old", "channelId": CHANNEL})
    return sandbox


@contextlib.contextmanager
def jetti(**options: Any) -> Iterator[Sandbox]:
    """A sandbox with a small company, without a rate limit and without delay unless told otherwise."""
    chosen = {"empty": True, "rate": 0, "inbound_delay": 0.0, **options}
    with Sandbox(Options(**chosen)) as sandbox:
        yield company(sandbox)


def settings_for(sandbox: Sandbox | OddServer, **settings: Any) -> dict[str, Any]:
    """The settings of a target that writes to a sandbox and waits for no rate limit; what is None is not set."""
    chosen = {
        "api_url": sandbox.api_url,
        "inbound_url": sandbox.inbound_url,
        "api_token": sandbox.token,
        "rate_limit": 1e6,
        "rate_limit_burst": 1e6,
        "inbound_rate_limit": 1e6,
        "rate_limit_store": "memory://",
        "retry_seconds": 20,
        "inventory_feed_id": FEED,
        "channel_id": CHANNEL,
        **settings,
    }
    return {name: value for name, value in chosen.items() if value is not None}


@dataclass
class Outcome:
    """How a run of the target ended.

    Attributes:
        states: The STATE values that it wrote.
        code: Its exit code.
        error: What it raised, besides the exit.
        figures: By action.
    """

    states: list[Any] = field(default_factory=list)
    code: int = 0
    error: BaseException | None = None
    figures: dict[str, Figures] = field(default_factory=dict)

    def of(self, action: str = VARIANTS) -> Figures:
        """The figures of one action."""
        return self.figures.get(action, Figures())


def as_lines(messages: Iterable[Any]) -> str:
    """Messages as the lines of an input; a text stands for itself."""
    return "".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in messages)


def deliver(sandbox: Sandbox | OddServer, *messages: Any, settle: bool = True, **settings: Any) -> Outcome:
    """Run the target in this process on some messages."""
    from tap_jetti.target.target import TargetJetti  # noqa: PLC0415 - half a second that other tests do without

    outcome = Outcome()
    stdout = io.StringIO()
    with contextlib.redirect_stdout(stdout):
        target = TargetJetti(config=settings_for(sandbox, **settings), parse_env_config=False)
        try:
            target.run(io.StringIO(as_lines(messages)))
        except SystemExit as end:
            outcome.code = int(end.code or 0)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            outcome.error, outcome.code = error, 1
    outcome.states = [json.loads(line) for line in stdout.getvalue().splitlines()]
    outcome.figures = target.pipeline.summary.actions
    if settle:
        sandbox.settle()
    return outcome


def stock(sandbox: Sandbox) -> dict[str, Any]:
    """The inventory of all feed variants by external id."""
    return {row["externalId"]: row["inventoryQuantity"] for row in sandbox.rows(VARIANTS)}


def rejects(path: Path) -> list[dict[str, Any]]:
    """The messages of a rejects file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def wait_for_line(stream: IO[bytes] | None, text: str) -> str:
    """Read lines until one contains a text; returns all of them.

    Read the rest with the stream's own `read`: `communicate` does not see what this has buffered.
    """
    assert stream is not None
    lines = ""
    for line in stream:
        lines += line.decode()
        if text in lines:
            return lines
    raise EOFError(f"no line has {text!r}, but: {lines}")


def start_process(directory: Path, config: dict[str, Any], **arguments: Any) -> subprocess.Popen[bytes]:
    """Start the target as a process of its own."""
    path = directory / "config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TARGET_JETTI_")}
    root = str(Path(__file__).resolve().parent.parent.parent)
    return subprocess.Popen(
        [sys.executable, "-c", "from tap_jetti.cli import target; target()", "--config", str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=directory,
        env={**kept, "PYTHONPATH": root, "XDG_STATE_HOME": str(directory)},
        **arguments,
    )
