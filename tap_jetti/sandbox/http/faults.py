"""Faults: failures of requests that are simulated at random."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from tap_jetti.sandbox.http import limits
from tap_jetti.sandbox.http.bucket import Level
from tap_jetti.sandbox.http.problems import Problem, Response, html

if TYPE_CHECKING:
    import random

    from tap_jetti.sandbox.options import Options

_RESPONSES = {
    "500": Response(500, b"Internal Server Error", "text/plain"),
    "502-html": html(502),
    "503": Response(503, b'{"message":"Service Unavailable"}'),
    "html-200": html(200),
    "problem-500": Problem(500, "api.sandbox.fault", "A business error that the library answers with 500.").response(),
    "reset-before": Response(0, b""),
}
_FULL_BUCKET = Level(accepted=False, used=0.0, wait=1.0)


@dataclass(frozen=True)
class Fault:
    """One simulated failure."""

    kind: str

    def response(self, options: Options, now: float) -> Response | None:
        """The response without processing the request; None if it is processed before it fails."""
        if self.kind == "429":
            return limits.refusal(options, _FULL_BUCKET, now)
        if self.kind == "bomb":
            return Response(200, _bomb(options.bomb_bytes), headers=[("Content-Encoding", "gzip")])
        return _RESPONSES.get(self.kind)


@cache
def _bomb(size: int) -> bytes:
    """An empty JSON array with so many bytes of blanks in it, compressed to about a thousandth."""
    compressor = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    block, blanks = b" " * (1 << 20), max(0, size - 2)
    parts = [compressor.compress(b"[")]
    parts += [compressor.compress(block) for _ in range(blanks // len(block))]
    parts += [compressor.compress(b" " * (blanks % len(block)) + b"]"), compressor.flush()]
    return b"".join(parts)


def choose(options: Options, rng: random.Random) -> Fault | None:
    """The fault of the next request, or None."""
    if options.faults <= 0 or not options.fault_kinds or rng.random() >= options.faults:
        return None
    return Fault(rng.choice(options.fault_kinds))
