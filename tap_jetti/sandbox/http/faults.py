"""Faults: the ways in which a request fails, and which one it is this time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tap_jetti.sandbox.http import limits
from tap_jetti.sandbox.http.bucket import Level
from tap_jetti.sandbox.http.problems import Problem, Response, html

if TYPE_CHECKING:
    import random

    from tap_jetti.sandbox.options import Options

_ANSWERS = {
    "500": Response(500, b"Internal Server Error", "text/plain"),
    "502-html": html(502),
    "503": Response(503, b'{"message":"Service Unavailable"}'),
    "html-200": html(200),
    "problem-500": Problem(500, "api.sandbox.fault", "A business error that the library answers with 500.").answer(),
    "reset-before": Response(0, b""),
}
_FULL = Level(accepted=False, used=0.0, wait=1.0)


@dataclass(frozen=True)
class Fault:
    """One failure."""

    kind: str

    def answer(self, options: Options, now: float) -> Response | None:
        """What is answered without doing anything; None if the request is processed first."""
        if self.kind == "429":
            return limits.refusal(options, _FULL, now)
        return _ANSWERS.get(self.kind)


def choose(options: Options, chance: random.Random) -> Fault | None:
    """The fault of the next request, or None."""
    if options.faults <= 0 or not options.fault_kinds or chance.random() >= options.faults:
        return None
    return Fault(chance.choice(options.fault_kinds))
