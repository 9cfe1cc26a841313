"""Random runs with faults and kills: nothing is lost, nothing is reordered, STATE is never ahead.

    python tests/target/fault_seeds.py 300            # seeds 0 to 299, several at a time
    python tests/target/fault_seeds.py 50 --first 300

Each seed draws the input (records of a few keys in a feed, some of them poison, STATE between
them), the settings (delivery, concurrency, batch size, comparison) and the faults (429, 5xx,
connections cut before and after the request arrived, answers cut short), and kills the target
with SIGKILL up to three times. It is started again from the last STATE that got out, as an
orchestrator does, until a run ends by itself.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from target_runs import as_lines, company, schema, settings_for, start_process, state, stock, variant

from tap_jetti.sandbox import Options, Sandbox

MOST_FAILURES = 5
"""Runs in a row that may give up, before it counts as a fault of the target's."""

KINDS = ("500", "502-html", "503", "429", "reset-before", "reset-after", "truncated", "html-200")


def draw_input(chance: random.Random) -> list[dict[str, Any]]:
    """Records and STATE messages; a STATE's value is how many records come before it."""
    messages: list[dict[str, Any]] = [schema()]
    keys = chance.choice([3, 20, 200])
    records = chance.randint(40, 400)
    poison = chance.choice([0.0, 0.02, 0.1])
    for number in range(records):
        quantity: Any = number
        if chance.random() < poison:
            quantity = chance.choice([-1, "many", 1.5, True])
        messages.append(variant(chance.randrange(keys), quantity))
        if chance.random() < 0.05:
            messages.append(state({"done": number + 1}))
    messages.append(state({"done": records}))
    return messages


def fault_run(seed: int, directory: Path) -> str | None:
    """Run one seed; answers what is wrong, or None."""
    chance = random.Random(seed)
    messages = draw_input(chance)
    delivery = chance.choice(["inbound", "inbound", "api"])
    options = Options(
        empty=True,
        rate=0,
        seed=seed,
        inbound_delay=0.0,
        faults=chance.choice([0.0, 0.1, 0.3]),
        fault_kinds=KINDS,
        latency=chance.choice([0.0, 0.01, 0.05]),
    )
    rejects = directory / "rejects.jsonl"
    with Sandbox(options) as sandbox:
        company(sandbox)
        before = options.faults
        config = settings_for(
            sandbox,
            delivery=delivery,
            concurrency=chance.choice([1, 2, 8]),
            batch_size=chance.choice([1, 7, 50]),
            skip_unchanged=chance.choice([True, False]),
            on_reject="set_aside",
            rejects_path=str(rejects),
        )
        done, failures, kills = 0, 0, chance.randint(0, 3)
        while True:
            code, states, errors = _run(
                directory, config, messages, done, chance.uniform(0.6, 1.8) if kills > 0 else None
            )
            for value in states:
                fault = _check(sandbox, messages[: _position(messages, value["done"])], rejects, value["done"])
                if fault:
                    return fault
                if value["done"] < done:
                    return f"STATE went back from {done} to {value['done']}"
                done = value["done"]
            kills -= 1
            options.faults = before
            if code in {0, 1} and done == messages[-1]["value"]["done"]:
                break
            # A run that gave up after retry_seconds is started again, too.
            failures += code in {1, 75}
            if code not in {1, 75, -9} or failures > MOST_FAILURES:
                return f"exit code {code}: {errors[-1500:]}"
        fault = _check(sandbox, messages, rejects, done, exact=True)
        expected = 1 if any(_is_poison(one) for one in messages) else 0
        if not fault and code > expected:
            return f"exit code {code}, expected {expected}"
        return fault


def _run(
    directory: Path, config: dict[str, Any], messages: list[dict[str, Any]], done: int, kill_after: float | None
) -> tuple[int, list[dict[str, Any]], str]:
    process = start_process(directory, config)
    timer = threading.Timer(kill_after, process.kill) if kill_after else None
    if timer:
        timer.start()
    rest = [messages[0], *messages[_position(messages, done) :]]
    out, errors = process.communicate(as_lines(rest).encode(), timeout=120)
    if timer:
        timer.cancel()
    lines = out.decode().split("\n")
    return process.returncode, [json.loads(line) for line in lines[:-1]], errors.decode()


def _position(messages: list[dict[str, Any]], done: int) -> int:
    """Where the messages go on after a STATE."""
    if not done:
        return 1
    return 1 + next(at for at, one in enumerate(messages) if one["type"] == "STATE" and one["value"]["done"] == done)


def _is_poison(message: dict[str, Any]) -> bool:
    if message["type"] != "RECORD":
        return False
    quantity = message["record"]["inventoryQuantity"]
    return type(quantity) is not int or quantity < 0


def _check(
    sandbox: Sandbox,
    messages: list[dict[str, Any]],
    rejects: Path,
    done: int,
    *,
    exact: bool = False,
) -> str | None:
    """Whether all records before a STATE are where they belong."""
    sandbox.settle()
    found = stock(sandbox)
    last: dict[str, int] = {}
    for message in messages:
        if message["type"] == "RECORD" and not _is_poison(message):
            last[message["record"]["externalId"]] = message["record"]["inventoryQuantity"]
    for key, quantity in last.items():
        if key not in found or found[key] < quantity or (exact and found[key] != quantity):
            return f"{key} is {found.get(key)}, expected {quantity} at STATE {done}"
    if exact and found.keys() - last.keys():
        return f"rows that nobody sent: {sorted(found.keys() - last.keys())[:5]}"
    poison = [json.dumps(message["record"], sort_keys=True) for message in messages if _is_poison(message)]
    if poison:
        lines = rejects.read_text(encoding="utf-8").splitlines() if rejects.exists() else []
        aside = {json.dumps(one["record"], sort_keys=True) for one in map(json.loads, lines) if one["type"] == "RECORD"}
        missing = [one for one in poison if one not in aside]
        if missing:
            return f"{len(missing)} rejected records are not in the rejects file at STATE {done}"
    return None


def one_seed(seed: int) -> str | None:
    """Run one seed in a directory of its own."""
    with tempfile.TemporaryDirectory() as name:
        return fault_run(seed, Path(name))


def main() -> None:
    """Run seeds and report those that fail."""
    parser = argparse.ArgumentParser()
    parser.add_argument("seeds", type=int)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=3)
    arguments = parser.parse_args()
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        holding = 0
        for seed, fault in zip(seeds, pool.map(one_seed, seeds), strict=True):
            holding += fault is None
            sys.stdout.write(f"seed {seed}: {fault or 'holds'}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{holding} of {len(seeds)} seeds hold.\n")
    sys.exit(holding < len(seeds))


if __name__ == "__main__":
    main()
