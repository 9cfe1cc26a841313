"""Random schedules: the real readers and the real target against a server that lives, cuts, lies, delays and fails.

They are killed and resumed anywhere.

Run as a script it plays seeds by range: ``python tests/simulation/schedules.py honest --first 0 --count 1000``.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from dataclasses import dataclass, field
from multiprocessing import Pool
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from account_plays import play_account
from invariants import Violation
from prefetch_plays import play_prefetch
from stream_plays import play_by_id, play_incremental, play_snapshots
from tally import Tally
from writing_plays import play_writing

if TYPE_CHECKING:
    from collections.abc import Callable

PLAYS: dict[str, Callable[[int], Tally]] = {
    "honest": lambda seed: play_incremental("honest", seed),
    "lies": lambda seed: play_incremental("lies", seed),
    "mixed": lambda seed: play_incremental("mixed", seed),
    "by-id": lambda seed: play_by_id("honest", seed),
    "snapshots": lambda seed: play_snapshots("mixed", seed),
    "account": play_account,
    "prefetch-quiet": lambda seed: play_prefetch("quiet", seed),
    "prefetch-busy": lambda seed: play_prefetch("busy", seed),
    "writing": play_writing,
}
"""How a schedule of each kind is played, by its seed."""


@dataclass
class Result:
    """What the schedules of one kind came to.

    Attributes:
        tally: What those without a violation came to together.
        violations: A line for each of the others, with the command that plays it again.
    """

    tally: Tally = field(default_factory=Tally)
    violations: list[str] = field(default_factory=list)


def play(kind: str, first: int, count: int, *, jobs: int = 1, fail_fast: bool = False) -> Result:
    """Play the schedules of so many seeds, or until one shows a violation."""
    work = [(kind, seed) for seed in range(first, first + count)]
    result = Result()
    with Pool(jobs) as pool:
        played = map(_try, work) if jobs == 1 else pool.imap_unordered(_try, work, chunksize=5 if fail_fast else 20)
        for found in played:
            if isinstance(found, Tally):
                result.tally.add(found)
            else:
                result.violations.append(found)
                if fail_fast:
                    break
    return result


def _try(job: tuple[str, int]) -> Tally | str:
    kind, seed = job
    command = f"python tests/simulation/schedules.py {kind} --first {seed} --count 1"
    try:
        return PLAYS[kind](seed)
    except Violation as violation:
        return f"{command}: {violation}"
    except Exception as error:  # noqa: BLE001 - a schedule must tell its seed whatever it meets
        return f"{command}: {error!r}"


def main() -> None:
    """Play schedules and print what they came to."""
    logging.disable(logging.CRITICAL)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=[*PLAYS, "all"])
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=1000, help="how many seeds")
    parser.add_argument("--seeds", help="both, as first:count")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--fail-fast", action="store_true", help="stop at the first violation of a kind")
    chosen = parser.parse_args()
    first, count = map(int, chosen.seeds.split(":")) if chosen.seeds else (chosen.first, chosen.count)
    broken = 0
    for kind in PLAYS if chosen.kind == "all" else [chosen.kind]:
        started = time.monotonic()
        result = play(kind, first, count, jobs=chosen.jobs, fail_fast=chosen.fail_fast)
        broken += len(result.violations)
        print(*result.violations, f"{kind}: {result.tally} in {time.monotonic() - started:.0f} s", sep="\n", flush=True)
    sys.exit(f"{broken} schedules broke an invariant." if broken else None)


if __name__ == "__main__":
    main()
