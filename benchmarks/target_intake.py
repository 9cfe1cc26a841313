"""How fast one process reads, decodes, checks, batches and encodes rows, with and without HTTP.

python benchmarks/target_throughput.py --only intake

Each measurement is a process that runs this module. It measures from the first byte of the input to the end of the
last batch, without the start of the process. What is measured:

=======  ===========================================================================================================
target   All of target-jetti except HTTP: a batch is encoded in the thread that would send it, and counts as sent.
library  The same with the HTTP library: requests are prepared and answered, but no socket is used.
sink     The SDK's target with a batch sink and its default validator (pure Python), which encodes its batches.
         It validates records against their SCHEMA message; target-jetti validates them against the API.
=======  ===========================================================================================================
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import requests
from requests.adapters import BaseAdapter
from singer_sdk import BatchSink, Target
from typing_extensions import override

from tap_jetti.client.session import Response
from tap_jetti.target.target import TargetJetti

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 50
NOWHERE = "https://jetti.invalid/"
CONFIG = {
    "api_token": "t",
    "api_url": NOWHERE,
    "inbound_url": NOWHERE,
    "inventory_feed_id": 7,
    "inventory_feed_hash": "h",
    "skip_unchanged": False,
    "rate_limit_store": "memory://",
    "inbound_rate_limit": 1e9,
    "batch_size": BATCH,
}


class Instant(BaseAdapter):
    """A transport that answers every request with ``{}`` at once."""

    @override
    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        response = requests.Response()
        response.status_code, response.request, response.url = 200, request, request.url or ""
        response.raw = io.BytesIO(b"{}")
        return response

    @override
    def close(self) -> None:
        """Do nothing: no connection is open."""


class PlainSink(BatchSink):
    """A sink that only encodes its batches, the least that a target can do."""

    max_size = BATCH
    encode = msgspec.json.Encoder(decimal_format="number").encode

    @override
    def process_batch(self, context: dict[str, Any]) -> None:
        self.encode(context["records"])


class PlainTarget(Target):
    """The SDK's target without changes."""

    name = "target-plain"
    config_jsonschema: dict[str, Any] = {"properties": {}}  # noqa: RUF012 - the SDK's own
    default_sink_class = PlainSink


def jetti(*, with_library: bool) -> Callable[[Any], object]:
    """target-jetti without a server."""
    gc.freeze()  # as the command does
    target = TargetJetti(config=CONFIG, parse_env_config=False)
    session = target.pipeline.session
    if with_library:
        session._http._transport = Instant()  # noqa: SLF001 - there is no setting for it
    else:
        encode, answer = msgspec.json.Encoder(decimal_format="number").encode, Response(200, {}, 2, 0.0, 0.0)

        def written(_method: str, _path: str, body: object, **_: object) -> Response:
            encode(body)
            return answer

        session.write_inbound = written  # type: ignore[method-assign]
    return target.run


WAYS: dict[str, Callable[[], Callable[[Any], object]]] = {
    "target": lambda: jetti(with_library=False),
    "library": lambda: jetti(with_library=True),
    "sink": lambda: PlainTarget(config={}).listen,
}


def main() -> None:
    """Measure one way with one file, and print the seconds of wall time and of processor time."""
    way, path = sys.argv[1:]
    run = WAYS[way]()
    states = io.StringIO()
    with Path(path).open("rb") as source, contextlib.redirect_stdout(states):
        wall, processor = time.perf_counter(), time.process_time()
        run(io.TextIOWrapper(source) if way == "sink" else source)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
    if not states.getvalue():
        sys.exit("The target wrote no STATE.")
    print(json.dumps({"wall": wall, "processor": processor}))


if __name__ == "__main__":
    main()
