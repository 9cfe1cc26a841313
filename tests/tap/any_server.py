"""Runs of the tap against sandboxes that use random freedoms of the API's contract together: no row is lost or wrong.

``python tests/tap/any_server.py 500`` runs 500 seeds, several at a time; ``--first 17 1`` repeats one.

Each seed draws the options of a sandbox, the settings of the tap, rows of three streams, and changes between any two
requests. Three runs go on from each other's state; then the server is quiet and friendly, and one more run that counts
all streams must make what was loaded equal to it. With exit code 0

- a record is a version of its row that the server had, and comes once in a run;
- a stream that is called proven has every row that was there before the run and has not changed since;
- a snapshot of ids is whole.
"""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import random
import sys
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from runs import TOKEN, UNLIMITED, Output, catalog_of, config_for
from seed_runner import run_seeds
from tap_jetti.facts.timestamps import from_epoch
from tap_jetti.sandbox import Options, Sandbox
from tap_jetti.tap.run_summary import RunSummary

INCREMENTAL = ("sales", "purchases")
FULL = "purchase_invoices"
SNAPSHOT = "sales_ids"
RESOURCES = (*INCREMENTAL, FULL)
MARK = "reference"
"""The text field that tells which write made a version."""

LAG = 0.5
"""Seconds of ``bookmark_lag``: more than the latest commit."""

LATEST_COMMIT = 0.3
RUNS = 3
ALLOWED_CODES = {0, 1, 75}
"""A run may fail, and say so."""

FRIENDLY: dict[str, Any] = {
    "short_pages": 0.0,
    "count": "all",
    "count_error": "none",
    "faults": 0.0,
    "freeze_date": False,
    "ignore_descending": False,
}


class Violation(AssertionError):  # noqa: N818 - it is what a seed shows, not an error of a program
    """Something does not hold."""


def draw_options(chance: random.Random, seed: int) -> dict[str, Any]:
    """The freedoms that the server of a seed uses."""
    # Counts that are wrong leave no way to see that a page was cut.
    count_error = chance.choice(["none"] * 5 + ["low", "high", "zero", "stale"])
    cuts = [0.0, 0.0, 0.05, 0.2] if count_error == "none" else [0.0]
    has_date = chance.random() < 0.9
    return {
        "empty": True,
        "seed": seed,
        "rate": 0,
        "from_means": chance.choice(["page", "offset", "nothing"]),
        "default_limit": chance.choice([50, 7, 100]),
        "page_cap": chance.choice([100_000, 100_000, 100, 37, 11]),
        "page_cap_after": chance.choice([0, 0, 2, 5]),
        "page_caps": chance.choice([(), (), ("sales=5",), ("purchases=20", "purchase_invoices=3")]),
        "page_cap_bytes": chance.choice([0, 0, 0, 3_000, 30_000]),
        "refuse_limit": chance.choice([0, 0, 60, 130]),
        "refuse_limit_status": chance.choice(["400", "500"]),
        "short_pages": chance.choice(cuts),
        "decimals": chance.choice(["number", "text", "mixed"]),
        "company_id": chance.choice(["number", "text"]),
        "microseconds": chance.random() < 0.7,
        "unstable_ties": chance.random() < 0.6,
        "extra_fields": chance.random() < 0.5,
        "count": chance.choice(["all", "all", "purchases", "none"]),
        "count_error": count_error,
        "refuse_attributes": chance.choice(["never", "never", "many", "always"]),
        "ignore_descending": chance.random() < 0.2,
        "permanent_errors": chance.choice(["mixed", "500"]),
        "rate_limit_headers": chance.choice(["none", "garbage"]),
        "retry_after": chance.choice(["none", "garbage"]),
        "date_header": has_date,
        "freeze_date": has_date and chance.random() < 0.1,
        "clock_skew": chance.choice([0.0, 0.0, -4000.0, 4000.0]) if has_date else 0.0,
        "interim_responses": chance.choice([0, 0, 2]),
        "faults": chance.choice([0.0, 0.0, 0.0, 0.03]),
        "fault_kinds": ("429", "500", "503", "reset-before", "reset-after", "truncated", "html-200"),
        "latency": chance.choice([0.0, 0.0, 0.01]),
    }


@cache
def _catalog() -> dict[str, Any]:
    """The streams of all seeds; to make it takes longer than a run."""
    return catalog_of(*RESOURCES, SNAPSHOT, config={"api_token": TOKEN, "id_snapshots": ["sales"], **UNLIMITED})


def draw_settings(chance: random.Random) -> dict[str, Any]:
    """The settings of the tap of a seed."""
    settings = {
        "bookmark_lag": LAG,
        "concurrency": chance.choice([1, 1, 8]),
        "verify_counts": chance.choice(["auto", "auto", "always"]),
        "unknown_fields": chance.choice(["warn", "keep"]),
        "id_snapshots": ["sales"],
        "retry_seconds": 20,
    }
    if chance.random() < 0.3:
        settings["page_size"] = chance.choice([3, 50, 100])
    return settings


@dataclass
class Loaded:
    """What the runs of a seed have loaded of one stream: each row as its last record has it."""

    rows: dict[int, dict[str, Any]] = field(default_factory=dict)

    def has(self, row: dict[str, Any]) -> bool:
        """Whether the last record of a row is that of its present version."""
        return bool(self.rows.get(row["id"], {}).get(MARK) == row[MARK])


class Play:
    """The runs of one seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.options = draw_options(self.chance, seed)
        self.settings = draw_settings(self.chance)
        if "page_size" in self.settings:
            self.options["refuse_limit"] = 0  # a size that is set and refused is an error
        self.churn = self.chance.choice([0.0, 0.1, 0.5])
        self.loaded = {stream: Loaded() for stream in RESOURCES}
        self.versions: set[tuple[str, int, str, float | None]] = set()
        self.state: dict[str, Any] = {}
        self._writes = 0
        self._newest: dict[str, int] = {}
        self._passed = 0.0
        self._clock_shown = 0.0

    def play(self) -> None:
        """Run the tap three times, and once when the server is quiet and friendly.

        Raises:
            Violation: Something does not hold.
        """
        with Sandbox(Options(clock=lambda: time.time() + self._passed, **self.options)) as self.sandbox:
            self._fill()
            for _ in range(RUNS):
                self.sandbox.on_request = self._change_sometimes
                self.run()
            self.sandbox.on_request = None
            for name, value in FRIENDLY.items():
                setattr(self.sandbox.options, name, value)
            self.settings["verify_counts"] = "always"  # what is only trusted may be late
            self._pass_time()
            code = self.run()
            if code:
                raise Violation(f"a friendly server, and exit code {code}: {self._errors()}")
            for stream in RESOURCES:
                rows = self.sandbox.rows(stream)
                wrong = [row["id"] for row in rows if not self.loaded[stream].has(row)]
                if wrong:
                    raise Violation(f"{stream}: {len(wrong)} rows never came as they are: {wrong[:5]}")

    def run(self) -> int:
        """Run the tap once, and check what it wrote; returns its exit code.

        Raises:
            Violation: Something does not hold.
        """
        before = {resource: self._rows(resource) for resource in RESOURCES}
        if not self.sandbox.options.freeze_date or not self._clock_shown:
            self._clock_shown = self.sandbox.now()
        output, figures = self._run_tap()
        if output.code not in ALLOWED_CODES:
            raise Violation(f"exit code {output.code}: {self._errors()}")
        self.state = output.state or self.state
        for stream in RESOURCES:
            self._check_records(stream, output.records(stream))
        after = {resource: self._rows(resource) for resource in RESOURCES}
        if self.sandbox.options.count_error == "none":
            for stream in RESOURCES:
                if output.code == 0 and figures.streams[stream].proof == "proven":
                    self._check_proven(
                        stream, before[stream], after[stream], upto=from_epoch(self._clock_shown - LAG - 1)
                    )
            self._check_snapshot(output, before["sales"], after["sales"])
        return output.code

    def _check_records(self, stream: str, records: list[dict[str, Any]]) -> None:
        given = set()
        for row in records:
            total = row.get("total")
            version = (stream, row["id"], row[MARK], None if total is None else float(total))
            if version not in self.versions:
                raise Violation(f"{stream}: Jetti never had {version}")
            if (row["id"], row[MARK], row["updatedAt"]) in given:
                raise Violation(f"{stream}: row {row['id']} came twice")
            given.add((row["id"], row[MARK], row["updatedAt"]))
            self.loaded[stream].rows[row["id"]] = row

    def _check_proven(
        self, stream: str, before: dict[int, dict[str, Any]], after: dict[int, dict[str, Any]], *, upto: str
    ) -> None:
        missing = [
            row_id
            for row_id, row in before.items()
            if after.get(row_id) == row
            and (row["updatedAt"] is None or row["updatedAt"] < upto)
            and not self.loaded[stream].has(row)
        ]
        if missing:
            raise Violation(f"{stream}: proven, but {len(missing)} rows are missing: {missing[:5]}")

    def _check_snapshot(self, output: Output, before: dict[int, Any], after: dict[int, Any]) -> None:
        ids = output.ids(SNAPSHOT)
        if len(set(ids)) < len(ids):
            raise Violation("a snapshot has an id twice")
        missing = [row_id for row_id in before if row_id in after and row_id not in set(ids)]
        if ids and missing:
            raise Violation(f"a snapshot of {len(ids)} ids lacks {missing[:5]}")

    def _run_tap(self) -> tuple[Output, RunSummary]:
        from tap_jetti.tap.tap import TapJetti  # noqa: PLC0415 - half a second that the other tests do without

        config = config_for(self.sandbox, **self.settings)
        summary, stdout, code = RunSummary(), io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), 0
        self._log = io.StringIO()
        handler = logging.StreamHandler(self._log)
        logging.getLogger("tap-jetti").addHandler(handler)
        try:
            with contextlib.redirect_stdout(stdout):
                tap = TapJetti(
                    config=config,
                    catalog=copy.deepcopy(_catalog()),
                    state=self.state or None,
                    parse_env_config=False,
                    summary=summary,
                )
                try:
                    tap.run()
                except SystemExit as end:
                    code = int(end.code or 0)
                except Exception as error:  # noqa: BLE001 - its code is looked at
                    code = getattr(error, "exit_code", -1)
                    self._log.write(f"{type(error).__name__}: {error}\n")
        finally:
            logging.getLogger("tap-jetti").removeHandler(handler)
        stdout.flush()
        lines = stdout.buffer.getvalue().decode().split("\n")[:-1]
        return Output(lines, code=code), summary

    def _errors(self) -> str:
        return self._log.getvalue()[-1500:]

    def _rows(self, resource: str) -> dict[int, dict[str, Any]]:
        return {row["id"]: row for row in self.sandbox.rows(resource)}

    def _pass_time(self) -> None:
        """Let everything be committed, and be older than the lag."""
        if self.options["date_header"]:
            self._passed += LATEST_COMMIT + LAG + 2
        else:
            time.sleep(LATEST_COMMIT + LAG + 1)

    # What happens in Jetti.

    def _fill(self) -> None:
        for resource in RESOURCES:
            rows = []
            moment = self.sandbox.now() - self.chance.choice([0.5, 30.0, 100_000.0])
            for row_id in range(1, self.chance.choice([0, 1, 40, 150, 300]) + 1):
                moment -= self.chance.choice([0.0, 0.0, 0.0004, 1.0, 60.0])
                date = f"{from_epoch(int(moment))[:19]}.{int(moment % 1 * 1_000_000):06d}Z"
                rows.append({"id": row_id, "updatedAt": date, **self._version(resource, row_id)})
            for row in rows if resource == FULL else ():
                if self.chance.random() < 0.3:
                    row["updatedAt"] = row["createdAt"] = None
            self._newest[resource] = len(rows)
            self.sandbox.replace(resource, rows)

    def _version(self, resource: str, row_id: int) -> dict[str, Any]:
        self._writes += 1
        total = self.chance.randrange(10_000) / 100 if resource in INCREMENTAL else None
        self.versions.add((resource, row_id, f"w{self._writes}", total))
        return {MARK: f"w{self._writes}", **({} if total is None else {"total": total})}

    def _change_sometimes(self, _number: int, _method: str, _path: str) -> None:
        if self.chance.random() < self.churn:
            self._change(self.chance.choice(RESOURCES))

    def _change(self, resource: str) -> None:
        """Insert, delete, touch or change rows now, or a little later."""
        ids, kind = list(self._rows(resource)), self.chance.random()
        if kind < 0.3 or not ids:
            self._newest[resource] += 1  # an id is never given twice
            row_id = self._newest[resource]
        elif kind < 0.45:
            self.sandbox.delete(resource, self.chance.choice(ids))
            return
        elif kind < 0.55:
            self.sandbox.touch(resource, self.chance.sample(ids, self.chance.randrange(len(ids) + 1)))
            return
        else:
            row_id = self.chance.choice(ids)
        late = self.chance.choice([0.0, self.chance.random() * LATEST_COMMIT]) if row_id in ids else 0.0
        self.sandbox.upsert(resource, {"id": row_id, **self._version(resource, row_id)}, visible_after=late)


def one_seed(seed: int) -> str | None:
    """Run one seed; answers what does not hold, or None."""
    play = Play(seed)
    try:
        play.play()
    except Violation as violation:
        return f"{violation}\n    options {play.options}\n    settings {play.settings}"
    return None


if __name__ == "__main__":
    run_seeds(one_seed)
