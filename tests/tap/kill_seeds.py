"""Kills the tap with SIGKILL at a random moment of a random world, runs it again, and looks for a lost row.

Run ``python tests/tap/kill_seeds.py 200`` for 200 seeds, several at a time; ``--first 17 1`` repeats one.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(REPOSITORY))

from tap_jetti.facts.timestamps import from_epoch, to_epoch  # noqa: E402
from tap_jetti.sandbox import Options, Sandbox  # noqa: E402

LAG = 3
"""Seconds of ``bookmark_lag``: more than the latest commit."""

LATEST_COMMIT = 1.5
TIES = 1500
INCREMENTAL = ("inventory_feed_variants", "sales")
FULL = "sale_invoices"
STREAMS = (*INCREMENTAL, FULL)
Seen = dict[str, set[tuple[int, Any]]]


@dataclass
class Outcome:
    """What became of one seed.

    Attributes:
        seed: The seed.
        killed_after: Lines that got out before the kill; None if the first run ended before it.
        lost: Rows that are in no output, by stream: id, shown and stored updatedAt.
        wrong: Whatever else is not as it should be.
        seconds: How long it took.
        records: Records of both runs.
        requests: Requests of both runs.
    """

    seed: int
    killed_after: int | None = None
    lost: dict[str, list[Any]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0
    records: int = 0
    requests: int = 0

    @property
    def good(self) -> bool:
        """Whether nothing was lost and nothing else went wrong."""
        return not self.lost and not self.wrong


def world(seed: int, *, faults: float = 0.02) -> Options:
    """The sandbox of a seed."""
    chance = random.Random(seed)
    return Options(
        empty=True,
        seed=seed,
        rate=0,
        page_cap=chance.choice([50, 37, 20, 300, 100_000]),
        refuse_limit=chance.choice([0, 0, 150, 300]),
        refuse_limit_status=chance.choice(["400", "500"]),
        latency=chance.choice([0.0, 0.0, 0.03]),  # the last one is enough for reading ahead
        microseconds=True,
        unstable_ties=chance.random() < 0.5,
        churn=chance.choice([10.0, 40.0, 120.0]),
        late_commits=LATEST_COMMIT,
        clock_skew=chance.choice([0.0, -4000.0, 4000.0]),
        faults=faults,
        count=chance.choice(["all", "all", "none"]),
        decimals=chance.choice(["number", "text"]),
    )


def fill(sandbox: Sandbox, seed: int) -> None:
    """Give the resources rows in ties of all sizes, one of them far beyond a page, down to the last second."""
    chance = random.Random(seed)
    now = sandbox.now()
    for stream in STREAMS:
        sizes = [TIES] if stream == INCREMENTAL[0] else []
        sizes += [chance.choice([1, 1, 1, 2, 9, 10, 40, 120]) for _ in range(20)]
        chance.shuffle(sizes)
        # The newest instant of one seed in three is within the lag.
        moment = now - chance.choice([1.0, 30.0, 3600.0])
        rows: list[dict[str, Any]] = []
        for size in reversed(sizes):
            micros = round(moment * 1_000_000)
            spread = chance.choice([1, 300, 1000])
            for _ in range(size):
                stamp = micros - chance.randrange(spread)
                rows.append(
                    {
                        "id": len(rows) + 1,
                        "updatedAt": f"{from_epoch(stamp // 1_000_000)[:19]}.{stamp % 1_000_000:06d}Z",
                    }
                )
            moment -= chance.choice([0.001, 0.0004, 0.5, 600.0])
        ids = list(range(1, len(rows) + 1))
        chance.shuffle(ids)
        for row, row_id in zip(rows, ids, strict=True):
            row["id"] = row_id
            if stream == FULL and chance.random() < 0.3:
                row["updatedAt"] = None
        sandbox.replace(stream, rows)


def start(directory: Path, config: dict[str, Any], catalog: dict[str, Any], state: Any) -> subprocess.Popen[bytes]:
    """Start the tap."""
    command = [sys.executable, "-c", "from tap_jetti.cli import tap; tap()"]
    for flag, content in (("config", config), ("catalog", catalog), ("state", state)):
        if content:
            path = directory / f"{flag}.json"
            path.write_text(json.dumps(content))
            command += [f"--{flag}", str(path)]
    with (directory / "errors").open("ab") as errors:
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=directory,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "XDG_STATE_HOME": str(directory)},
        )


def read(lines: list[bytes], outcome: Outcome, *, cut: bool) -> tuple[Seen, dict[str, Any]]:
    """The rows and the last state of an output, and whether its bookmarks only went on."""
    seen: Seen = {stream: set() for stream in STREAMS}
    state: dict[str, Any] = {}
    for index, line in enumerate(lines):
        try:
            message = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            message = None
        if message is None:
            if not cut or index < len(lines) - 1:
                outcome.wrong.append(f"line {index} is no message: {line[:60]!r}")
            continue
        if message["type"] == "RECORD":
            record = message["record"]
            outcome.records += 1
            seen[message["stream"]].add((record["id"], record.get("updatedAt")))
        elif message["type"] == "STATE":
            for stream in STREAMS:
                before, after = bookmark(state, stream), bookmark(message["value"], stream)
                if before and (not after or after < before):
                    outcome.wrong.append(f"the bookmark of {stream} went back from {before} to {after}")
            state = message["value"]
    return seen, state


def bookmark(state: dict[str, Any], stream: str) -> str | None:
    """Where a stream goes on."""
    value: str | None = state.get("bookmarks", {}).get(stream, {}).get("replication_key_value")
    return value


def stored(sandbox: Sandbox, stream: str) -> dict[int, tuple[int | None, str | None]]:
    """The committed rows: stored microseconds and shown date by id."""
    found = sandbox._account.database.fetch(f"SELECT id, updated, json_extract(body, '$.updatedAt') FROM {stream}")
    return {row_id: (micros, shown) for row_id, micros, shown in found}


def try_seed(seed: int, catalog: dict[str, Any], *, faults: float = 0.02) -> Outcome:
    """Live through one seed."""
    outcome = Outcome(seed)
    began = time.monotonic()
    chance = random.Random(f"kill {seed}")
    with tempfile.TemporaryDirectory() as name, Sandbox(world(seed, faults=faults)) as sandbox:
        directory = Path(name)
        rate = sandbox.options.churn
        sandbox.options.churn = 0.0
        fill(sandbox, seed)
        sandbox.options.churn = rate
        config = {
            "api_url": sandbox.api_url,
            "api_token": sandbox.token,
            "rate_limit": 1_000_000,
            "rate_limit_burst": 1_000_000,
            "rate_limit_store": "memory://",
            "bookmark_lag": LAG,
        }
        page_size = chance.choice([None, None, None, 100, 50, 30])
        if page_size is not None:
            config["page_size"] = page_size  # otherwise pages grow
        with start(directory, config, catalog, None) as process:
            assert process.stdout is not None
            lines, kill_at = [], chance.randrange(1, sum(map(sandbox.count, STREAMS)) * 6 // 10)
            for line in process.stdout:
                lines.append(line)
                if len(lines) == kill_at:
                    time.sleep(chance.random() * 0.01)
                    process.kill()
                    outcome.killed_after = kill_at
        code = process.returncode
        if outcome.killed_after is None and code != 0:
            outcome.wrong.append(f"the first run ended with {code}")
        first, state = read(lines, outcome, cut=outcome.killed_after is not None)
        before, began_again = stored(sandbox, FULL), sandbox.now()
        with start(directory, config, catalog, state) as process:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line)
                if len(lines) == 500:
                    sandbox.options.churn = 0.0
        if process.returncode != 0:
            outcome.wrong.append(f"the second run ended with {process.returncode}")
        second, end = read(lines, outcome, cut=False)
        sandbox.options.churn = 0.0
        sandbox._account._commit(None)
        for stream in INCREMENTAL:
            old, new = bookmark(state, stream), bookmark(end, stream)
            if old and (not new or new < old):
                outcome.wrong.append(f"the bookmark of {stream} went from {old} to {new}")
                continue
            # The bookmark is at most U - lag, so this is a lower bound of U, and U itself while there is churn.
            # Without one, as where all rows were touched meanwhile, U is some second after the run began.
            seconds = to_epoch(new) + LAG if new else began_again - 2
            upper = round(seconds * 1000) * 1000
            given = first[stream] | second[stream]
            # A change that is committed after the run has passed it is for the run after that.
            limit = upper - round(LATEST_COMMIT * 1_000_000)
            if sandbox.options.count == "all":
                # What was counted is complete, wherever the bookmark stands. U is a Date, which is cut to the second.
                limit = max(limit, round((began_again - 1 - LAG) * 1_000_000))
            lost = [
                (row_id, shown, micros)
                for row_id, (micros, shown) in stored(sandbox, stream).items()
                if micros is not None and micros <= limit and (row_id, shown) not in given
            ]
            if lost:
                outcome.lost[stream] = lost
        gone = before.keys() & stored(sandbox, FULL).keys() - {row_id for row_id, _ in second[FULL]}
        if gone:
            outcome.lost[FULL] = sorted(gone)
        outcome.requests = len(sandbox.requests)
        if not outcome.good:
            outcome.wrong.append((directory / "errors").read_text()[-800:])
    outcome.seconds = time.monotonic() - began
    return outcome


def catalog() -> dict[str, Any]:
    """The tap's catalog, with a few streams and fields selected."""
    from tap_jetti.tap.tap import TapJetti  # noqa: PLC0415 - not in the pool's processes

    tap = TapJetti(config={"api_token": "any", "rate_limit_store": "memory://"}, parse_env_config=False)
    entries = [entry for entry in json.loads(json.dumps(tap.catalog_dict))["streams"] if entry["stream"] in STREAMS]
    for entry in entries:
        for one in entry["metadata"]:
            one["metadata"]["selected"] = not one["breadcrumb"] or one["breadcrumb"][1] in {"id", "updatedAt"}
    return {"streams": entries}


def main() -> int:
    """Try many seeds and print what is lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", type=int)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    chosen = parser.parse_args()
    began, selected = time.monotonic(), catalog()
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    with ProcessPoolExecutor(chosen.processes) as pool:
        outcomes = list(pool.map(try_seed, seeds, [selected] * len(seeds)))
    bad = [outcome for outcome in outcomes if not outcome.good]
    for outcome in bad:
        print(f"seed {outcome.seed}, killed after {outcome.killed_after} lines:")
        for stream, rows in outcome.lost.items():
            print(f"  {stream} lost {len(rows)} rows: {rows[:5]}")
        for text in outcome.wrong:
            print(f"  {text}")
    killed = sum(outcome.killed_after is not None for outcome in outcomes)
    print(
        f"{len(outcomes)} seeds, {killed} killed, {len(bad)} bad,"
        f" {sum(outcome.records for outcome in outcomes)} records,"
        f" {sum(outcome.requests for outcome in outcomes)} requests,"
        f" {time.monotonic() - began:.0f} s."
    )
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
