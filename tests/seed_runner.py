"""The command line of the scripts that try many random seeds."""

from __future__ import annotations

import argparse
import logging
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def run_seeds(one_seed: Callable[[int], str | None]) -> None:
    """Run seeds, report those that fail, and end the process.

    Args:
        one_seed: Runs one seed in a process of the pool; answers what does not hold, or None.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("seeds", type=int)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    holding = 0
    logging.disable(logging.CRITICAL)
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for seed, fault in zip(seeds, pool.map(one_seed, seeds), strict=True):
            holding += fault is None
            if fault:
                sys.stdout.write(f"seed {seed}: {fault}\n")
                sys.stdout.flush()
    sys.stdout.write(f"{holding} of {len(seeds)} seeds hold.\n")
    sys.exit(holding < len(seeds))
