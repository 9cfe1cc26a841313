"""Applies known bugs one at a time to a copy of the project, and shows which tests and schedules notice.

``python tests/simulation/mutations.py`` applies all of them; names of bugs choose some. For each bug the unit tests are
run first, then the schedules of the kinds that use its module, then other tests, until one notices.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from writing_bugs import WRITING_BUGS

ROOT = Path(__file__).resolve().parents[2]
UNIT_TESTS = [
    "tests/reading/test_proof.py",
    "tests/reading/test_resource_facts.py",
    "tests/reading/test_page_limit.py",
    "tests/reading/test_id_read.py",
    "tests/reading/test_instants.py",
    "tests/reading/test_learning.py",
    "tests/client/test_rate_limit.py",
    "tests/simulation/test_simulation.py::test_threads_that_share_a_limiter_never_fill_the_bucket",
]
OTHER_TESTS = ["tests/reading/test_keyset.py", "tests/client/test_rate_limit_sqlite.py"]
TARGET_TESTS = [
    "tests/target/test_freedoms.py",
    "tests/target/test_guarantees.py",
    "tests/target/test_cases_writing.py",
]
"""For bugs of the target, instead of the others."""

SCHEDULES = {
    "honest": 250,
    "lies": 150,
    "mixed": 150,
    "by-id": 200,
    "snapshots": 80,
    "account": 100,
    "prefetch-quiet": 100,
    "prefetch-busy": 100,
    "writing": 500,
}
"""How many schedules of each kind are played, until one notices."""

CPU_SECONDS = 120
"""A process that takes more does not end, which notices a bug, too."""


@dataclass(frozen=True)
class Bug:
    """A bug: in a module of `tap_jetti`, one piece of text is replaced by another.

    Attributes:
        is_expected_to_survive: Why nothing notices; empty: it must be noticed.
    """

    name: str
    module: str
    right: str
    wrong: str
    is_expected_to_survive: str = ""


KEYSET = "reading/keyset.py"
FACTS = "reading/resource_facts.py"
LIMIT = "reading/page_limit.py"
PROOF = "reading/proof.py"
ID_READ = "reading/id_read.py"
RANGE = "reading/read_range.py"
PAGES = "reading/pages.py"
SNAPSHOT = "tap/snapshot_stream.py"
AHEAD = "reading/prefetch/"

KINDS = {
    ID_READ: ["by-id", "snapshots"],
    SNAPSHOT: ["snapshots"],
    LIMIT: ["account", "honest"],
    "client/": ["account", "prefetch-busy", "writing"],
    "target/": ["writing"],
    AHEAD: ["prefetch-quiet", "prefetch-busy"],
    "reading/": ["honest", "lies", "mixed", "account"],
}
"""The kinds of schedules that may notice a bug in a module, by the beginning of its name."""

BUGS = [
    Bug(
        "gt-for-gte",
        PAGES,
        '{"$gte": self.lower, **upper}',
        '{"$gt": self.lower, **upper}',
    ),
    Bug(
        "bookmark-past-the-last-key",
        KEYSET,
        "return None if last is None else self.bookmark(last)",
        "return None if last is None else self.bookmark(later(last, milliseconds=1))",
    ),
    Bug(
        "millisecond-without-proof",
        KEYSET,
        "        elif behind == 0:\n            self._passed",
        "        else:\n            self._passed",
    ),
    Bug(
        "bookmark-at-upper-minus-lag",
        KEYSET,
        "return None if last is None else self.bookmark(last)",
        "return self.range.ceiling",
    ),
    Bug(
        "bookmark-past-the-lag",
        KEYSET,
        "return min(key, self.range.ceiling, self._pin or key)",
        "return min(key, self._pin or key)",
    ),
    Bug(
        "no-pin", KEYSET, "return min(key, self.range.ceiling, self._pin or key)", "return min(key, self.range.ceiling)"
    ),
    Bug("no-lag", RANGE, "self.ceiling = from_epoch(seconds - self._lag)", "self.ceiling = from_epoch(seconds)"),
    Bug("no-upper-bound", RANGE, "return min(filter(None, (self.upper, self._end)), default=None)", "return self._end"),
    Bug(
        "upper-bound-of-the-answer",
        PAGES,
        "return self.session.server_clock.at(at)\n\n    def page(self",
        "return self.session.server_clock.at(at + 20)\n\n    def page(self",
    ),
    Bug(
        "count-after-the-page",
        KEYSET,
        "            self._count_if_due()\n            page, limit, beyond_upper = self._ask()",
        "            page, limit, beyond_upper = self._ask()\n            self._count_if_due()",
    ),
    Bug(
        "count-not-from-the-cursor",
        KEYSET,
        "self._owed = self._source.count(KeyRange(REPLICATION_KEY, self._cursor, bound))",
        "self._owed = self._source.count(KeyRange(REPLICATION_KEY, later(self._cursor, milliseconds=1), bound))",
    ),
    Bug(
        "a-lower-count-is-paid",
        PROOF,
        "page.owed is not None and page.rows == page.owed)",
        "page.owed is not None and page.rows >= page.owed)",
    ),
    Bug("a-higher-count-is-forgotten", PROOF, "(Verdict.GO_ON, lambda page: page.owed is not None),", ""),
    Bug("the-pages-do-not-pay", KEYSET, "self._owed -= at_last", "self._owed -= len(page)"),
    Bug("stop-on-a-short-page", PROOF, "page.is_trusted_size and not page.must_count", "not page.must_count"),
    Bug("a-full-page-ends-a-read", PROOF, "    (Verdict.GO_ON, lambda page: page.is_full),\n", ""),
    Bug(
        "trust-the-largest-size",
        FACTS,
        "return rows < self.largest or rows <= 1",
        "return rows <= self.largest or rows <= 1",
    ),
    Bug("never-count", FACTS, "return not is_proven or _is_within(self.cut_at, CUT_DAYS, now)", "return False"),
    Bug(
        "proofs-never-expire",
        FACTS,
        'is_proven = _is_within(self.proven_at, proof_days, now) and (self.proven_at or "") <= now',
        "is_proven = self.proven_at is not None",
    ),
    Bug("cut-at-not-kept", FACTS, '"cut_at": self.cut_at,', '"cut_at": None,'),
    Bug(
        "a-cut-is-not-noticed",
        KEYSET,
        "            self._facts.note_cut(self._short, self.range.now)",
        "            pass",
    ),
    Bug("a-cap-is-not-learnt", FACTS, "            self.is_capped = True\n            return", "            return"),
    Bug("late-rows-are-a-cut", KEYSET, " and fresh.keys[0] < self.range.ceiling:", ":", "it costs counts, never rows"),
    Bug(
        "drop-equal-timestamps",
        KEYSET,
        "fresh = [index for index in range(at_cursor) if page.ids[index] not in self._seen]",
        "fresh: list[int] = []",
    ),
    Bug(
        "give-the-cursor-again",
        KEYSET,
        "if page.ids[index] not in self._seen]\n        if fresh",
        "]\n        if fresh",
    ),
    Bug(
        "ids-of-another-instant",
        FACTS,
        "return self.last_ids if self.last_instant == instant else None",
        "return self.last_ids",
    ),
    Bug(
        "ids-of-an-unsettled-instant",
        KEYSET,
        "bookmark if is_known and bookmark < self.range.ceiling else None",
        "bookmark if is_known else None",
    ),
    Bug(
        "ids-of-the-last-page-only",
        KEYSET,
        "ids = set(self._seen) if bookmark == self._cursor else set()",
        "ids = set()",
    ),
    Bug(
        "instants-not-read-by-id",
        KEYSET,
        "            yield from self._read_instant()\n            self._cursor, self._seen, self._seen_here = later(",
        "            self._cursor, self._seen, self._seen_here = later(",
    ),
    Bug(
        "instant-ends-at-an-empty-page",
        KEYSET,
        "behind = self._source.count(*ranges) if self._can_count else None",
        "behind = 0",
    ),
    Bug(
        "instant-ends-at-a-short-page",
        KEYSET,
        "                    yield fresh\n                continue",
        "                    yield fresh\n                if len(page) > 2:\n                    continue",
    ),
    Bug(
        "instant-without-the-next-millisecond",
        KEYSET,
        "KeyRange(REPLICATION_KEY, instant, following)",
        "KeyRange(REPLICATION_KEY, instant, instant)",
    ),
    Bug("gaps-are-not-checked", KEYSET, "                self._check_gaps()\n", ""),
    Bug(
        "by-id-ends-at-a-short-page",
        ID_READ,
        "counted = self._source.count(self._rest()) if self._can_count else None",
        "counted = 0 if len(page) else self._source.count(self._rest()) if self._can_count else None",
    ),
    Bug(
        "by-id-ends-at-an-empty-page",
        ID_READ,
        "counted = self._source.count(self._rest()) if self._can_count else None",
        "counted = 0 if not len(page) else self._source.count(self._rest()) if self._can_count else None",
    ),
    Bug(
        "newest-id-not-checked",
        ID_READ,
        "if newest >= self._next_id - 1 and newest != self._first_given:",
        "if newest >= 0:",
    ),
    Bug("no-newest-id", ID_READ, "            self._newest = newest\n", "            pass\n"),
    Bug(
        "snapshot-page-by-page",
        SNAPSHOT,
        "            ids.extend(page.ids)\n",
        "            ids.extend(page.ids)\n            yield page\n",
    ),
    Bug(
        "snapshot-not-proven",
        SNAPSHOT,
        "if self._reader is None or self._reader.proof is not Proof.PROVEN:",
        "if self._reader is None:",
    ),
    Bug(
        "snapshot-without-lag",
        SNAPSHOT,
        'return from_epoch(seconds - self.run.settings["bookmark_lag"])',
        'return from_epoch(seconds + self.run.settings["bookmark_lag"])',
    ),
    Bug(
        "facts-of-another-resource",
        PAGES,
        "self.facts = facts or ResourceFacts(resource)",
        "self.facts = facts = profile.__dict__.setdefault('facts', facts or ResourceFacts(resource))",
    ),
    Bug("probe-retried", PAGES, "retry=not limit.is_probe)", "retry=True)"),
    Bug("probes-together", LIMIT, "if resource in self._probes or ", "if False and "),
    Bug(
        "a-probe-fails-with-a-429",
        LIMIT,
        "return worked if may_be_too_large(error) or isinstance(error, RetriableError) else None",
        "return worked if may_be_too_large(error) else None",
    ),
    Bug("refused-size-not-remembered", LIMIT, '"refused_page_size": self._refused,', '"refused_page_size": None,'),
    Bug(
        "refused-size-pinned-by-one-503",
        LIMIT,
        "if not is_final and self._refused is None and self._doubted is None:",
        "if False:",
    ),
    Bug(
        "a-size-that-works-elsewhere-is-no-probe",
        LIMIT,
        "return self._worked.get(resource, self._first)",
        "return max(self._worked.values(), default=self._first)",
    ),
    Bug(
        "order-not-checked",
        PAGES,
        "if number == 0 and values != in_order:",
        "if False:",
        "the model never gives rows in a wrong order",
    ),
    Bug(
        "limiter-without-lock",
        "client/rate_limit/memory.py",
        "        with self._lock.current():\n            self._bucket, wait",
        "        if True:\n            self._bucket, wait",
    ),
    Bug(
        "limiter-forgets-what-waits",
        "client/rate_limit/bucket.py",
        "start = max(now, bucket.blocked_until, tat + start_offset)",
        "start = max(now, bucket.blocked_until)",
    ),
    Bug("burst-without-margin", "client/rate_limit/limiter.py", "BURST_MARGIN = 0.3", "BURST_MARGIN = -0.3"),
    Bug(
        "blocked-slots-go-at-once",
        "client/rate_limit/bucket.py",
        "tat = max(max(bucket.tat, now) + delay, now + capacity)",
        "tat = bucket.tat",
    ),
    Bug(
        "held-rows-pay-a-count",
        AHEAD + "prefetched_pages.py",
        "            if self._windows is not None:\n                self._give_up_windows()\n        counted",
        "            pass\n        counted",
    ),
    Bug("window-starts-at-its-first-key", AHEAD + "windows.py", "start = self.step(keys[0])", "start = keys[0]"),
    Bug(
        "window-ahead-of-nothing", AHEAD + "windows.py", "if not before.reading or start <= before.cursor:", "if False:"
    ),
    Bug(
        "a-short-held-page-ends-a-read",
        AHEAD + "windows.py",
        "return found if len(found) == page_size or (at_end and len(found) >= MIN_PAGE) else None",
        "return found if found.rows else None",
    ),
    Bug(
        "memory-not-bounded",
        AHEAD + "memory.py",
        "go = self._held + self._reserved + places <= self.places",
        "go = True",
    ),
    Bug(
        "scheduler-not-bounded", AHEAD + "scheduler.py", "(self._taking or self._flying >= self._most)", "self._taking"
    ),
    Bug(
        "failure-before-its-turn",
        AHEAD + "stream_ahead.py",
        "        self._await()\n        while True:",
        "        self._await()\n        while self._failure is None:",
    ),
    Bug(
        "handed-over-while-it-runs",
        AHEAD + "stream_ahead.py",
        "while not self._queue and self._is_running:",
        "while False:",
    ),
    Bug(
        "close-does-not-wake",
        AHEAD + "prefetcher.py",
        "            self.memory.is_closed = True\n            self.memory.changed.notify_all()",
        "            self.memory.is_closed = True",
    ),
    *(Bug(*one) for one in WRITING_BUGS),
]


def apply(bug: Bug, copy: Path) -> None:
    """Put a bug into the copy.

    Raises:
        ValueError: Its text is not there exactly once: the code has changed.
    """
    source, target = ROOT / "tap_jetti" / bug.module, copy / "tap_jetti" / bug.module
    text = source.read_text()
    if text.count(bug.right) != 1:
        raise ValueError(f"{bug.name}: {bug.right!r} is {text.count(bug.right)} times in {bug.module}")
    target.write_text(text.replace(bug.right, bug.wrong))


def run(command: list[str], copy: Path) -> str | None:
    """What a command printed if it failed; None if it passed."""
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS)),
    )
    return None if done.returncode == 0 else f"{done.stdout}{done.stderr} (exit code {done.returncode})"


def unit_tests(copy: Path, tests: list[str]) -> str | None:
    """The first test that notices."""
    if not tests:
        return None
    failed = run(["-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", *tests], copy)
    if failed is None:
        return None
    found = re.findall(r"^(?:FAILED|ERROR) (\S+)", failed, re.MULTILINE)
    return found[0].replace("tests/", "", 1) if found else failed[-200:].replace("\n", " ")


def schedules(bug: Bug, copy: Path) -> str | None:
    """The first violation."""
    kinds = next(kinds for module, kinds in KINDS.items() if bug.module.startswith(module))
    for kind in kinds:
        failed = run(["tests/simulation/schedules.py", kind, "--fail-fast", "--count", str(SCHEDULES[kind])], copy)
        if failed is not None:
            found = re.findall(r"schedules\.py (\S+) --first (\d+) --count 1: (.*)", failed)
            return " ".join(found[0])[:120] if found else f"{kind}: {failed[-200:]}".replace("\n", " ")
    return None


def main() -> None:
    """Apply bugs and print which tests and schedules notice."""
    wanted = [bug for bug in BUGS if bug.name in sys.argv[1:] or not sys.argv[1:]]
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for part in ("tap_jetti", "tests", "schemas", "docs"):
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        for file in ("pyproject.toml", "README.md", "meltano.yml"):
            shutil.copy(ROOT / file, copy / file)
        for bug in wanted:
            started = time.monotonic()
            apply(bug, copy)
            before, behind = ([], TARGET_TESTS) if bug.module.startswith("target/") else (UNIT_TESTS, OTHER_TESTS)
            noticed = unit_tests(copy, before) or schedules(bug, copy) or unit_tests(copy, behind) or ""
            shutil.copy(ROOT / "tap_jetti" / bug.module, copy / "tap_jetti" / bug.module)
            if not noticed:
                survivors.append(bug.name)
                noticed = f"SURVIVES. {bug.is_expected_to_survive}"
            print(f"{bug.name} ({time.monotonic() - started:.0f} s): {noticed}", flush=True)
    print(f"{len(wanted)} bugs, {len(survivors)} survive: {', '.join(survivors) or 'none'}")
    sys.exit(any(not bug.is_expected_to_survive for bug in wanted if bug.name in survivors))


if __name__ == "__main__":
    main()
