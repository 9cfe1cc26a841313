"""Ends `jetti sync` at random moments, in every way, and looks for a lost row or a state that is ahead.

Run ``python tests/sync/kill_syncs.py 10 --kills 20`` for ten seeds with 20 kills each; ``--first 17 1`` repeats one.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
for folder in (REPOSITORY, REPOSITORY / "tests", REPOSITORY / "tests" / "sync"):
    sys.path.insert(0, str(folder))

import duckdb  # noqa: E402

from sync_runs import STREAMS, Syncs, children  # noqa: E402
from tap_jetti.sandbox import Options, Sandbox  # noqa: E402

ROWS = 600
LONGEST = 5.0
"""Seconds after which a run is ended at the latest: about as long as it takes."""

GENTLE = ("group TERM", "group INT", "group HUP")
RUDE = ("kill sync", "kill tap", "kill loader", "kill all")
WAYS = (*GENTLE, *RUDE)


def fill(sandbox: Sandbox) -> None:
    """Give two streams rows."""
    for stream in STREAMS:
        sandbox.replace(
            stream,
            [{"id": at, "updatedAt": f"2020-01-01T00:{at // 60:02}:{at % 60:02}.000Z"} for at in range(1, ROWS + 1)],
        )


def wanted(sandbox: Sandbox) -> dict[str, dict[int, str]]:
    """The `updatedAt` of each row, by stream and id."""
    return {stream: {row["id"]: row["updatedAt"] for row in sandbox.rows(stream)} for stream in STREAMS}


def loaded(syncs: Syncs, *, is_duckdb: bool) -> tuple[dict[str, dict[int, str]], dict[str, Any]]:
    """What the loader holds: `updatedAt` by stream and id; and the stored bookmarks."""
    if not is_duckdb:
        path = syncs.folder / "state.json"
        state = json.loads(path.read_text()) if path.exists() else {}
        return syncs.stored(), state.get("bookmarks", {})
    give_up = time.monotonic() + 60
    while True:  # the loader of a sync that was killed may still be at work
        try:
            database = duckdb.connect(str(syncs.folder / "w.duckdb"))
            break
        except duckdb.IOException:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.1)
    with database:
        names = {name for (name,) in database.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
        rows = {
            stream: {
                key: value.isoformat(timespec="milliseconds") + "Z"
                for key, value in database.execute(f'SELECT id, "updatedAt" FROM {stream}').fetchall()
            }
            for stream in STREAMS
            if stream in names
        }
        found = database.execute("SELECT state FROM tap_jetti.state").fetchone() if "state" in names else None
        ids: Any = None
        if "sales_ids" in names:
            ids = database.execute(
                'SELECT count(*) FROM sales_ids WHERE "snapshotAt" = (SELECT max("snapshotAt") FROM sales_ids)'
            ).fetchone()
    assert ids is None or ids[0] in {0, ROWS}, f"a snapshot of {ids[0]} rows"
    return rows, json.loads(found[0]).get("bookmarks", {}) if found else {}


def end(process: subprocess.Popen[str], way: str) -> None:
    """End a run in one of the ways."""
    kind, name = way.split()
    parts = children(process.pid)
    try:
        if kind == "group":
            os.killpg(process.pid, getattr(signal, f"SIG{name}"))
            return
        victims = {"sync": [process.pid], "tap": parts[1:2], "loader": parts[:1], "all": [process.pid, *parts]}[name]
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
    except ProcessLookupError:
        pass


def check(syncs: Syncs, before: dict[str, Any], *, is_duckdb: bool) -> dict[str, Any]:
    """Look for a bookmark that went back or is ahead of the rows. Returns the bookmarks."""
    rows, bookmarks = loaded(syncs, is_duckdb=is_duckdb)
    for stream, dates in wanted(syncs.sandbox).items():
        mark = bookmarks.get(stream, {}).get("replication_key_value", "")
        assert mark >= before.get(stream, {}).get("replication_key_value", ""), f"the state of {stream} went back"
        missing = [key for key, date in dates.items() if date < mark and rows.get(stream, {}).get(key) != date]
        assert not missing, f"the state of {stream} is ahead of {len(missing)} rows, such as {missing[:5]}"
    return dict(bookmarks)


def play(seed: int, kills: int, folder: Path, ways: tuple[str, ...] = WAYS) -> str:
    """Play one seed. Returns what happened."""
    chance = random.Random(seed)
    is_duckdb = chance.random() < 0.5
    with Sandbox(Options(empty=True, rate=0, page_cap=50)) as sandbox:
        fill(sandbox)
        syncs = Syncs(
            folder,
            sandbox,
            {
                "select": [*STREAMS, "sales_ids"],
                "id_snapshots": ["sales"],
                "page_size": 50,
                "bookmark_lag": 0,
                "rate_limit": 15,
                "rate_limit_burst": 1,
                "retry_seconds": 5,
            },
        )
        where = ["--to", "duckdb:///w.duckdb"] if is_duckdb else [*syncs.loader(), "--state", "state.json"]
        bookmarks: dict[str, Any] = {}
        story = []
        for _ in range(kills):
            way = chance.choice(ways)
            with syncs.start(*where, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                try:
                    process.wait(chance.uniform(0, LONGEST))
                except subprocess.TimeoutExpired:
                    end(process, way)
                process.wait(60)
            story.append(f"{way}: {process.returncode}")
            expected = {0, 75, 1, -9, -15, -2, -1, 143, 130, 129}
            assert process.returncode in expected, story
            bookmarks = check(syncs, bookmarks, is_duckdb=is_duckdb)
            if chance.random() < 0.3:
                sandbox.touch("sales", [chance.randint(1, ROWS)])
        syncs.settings["rate_limit"] = 1000
        last = syncs.run(*where)
        assert last.code == 0, last.log
        rows, _ = loaded(syncs, is_duckdb=is_duckdb)
        assert {stream: rows[stream] for stream in STREAMS} == wanted(sandbox)
    return f"seed {seed}, {'DuckDB' if is_duckdb else 'a loader'}: {', '.join(story)}"


def main() -> None:
    """Play some seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", type=int)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--gentle", action="store_true", help="only signals to the group")
    arguments = parser.parse_args()
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        with tempfile.TemporaryDirectory() as folder:
            print(play(seed, arguments.kills, Path(folder), GENTLE if arguments.gentle else WAYS), flush=True)


if __name__ == "__main__":
    main()
