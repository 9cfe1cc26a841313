"""What is seen of a run while it goes on: on a terminal, in a log, and nowhere else."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import math
import os
import pty
import re
import signal
import struct
import sys
import termios
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from runs import config_for, run_here
from tap_jetti.client.clock import VirtualClock
from tap_jetti.client.stats import RequestStats
from tap_jetti.errors import AuthenticationError
from tap_jetti.tap.progress.progress import Progress, format_duration
from tap_jetti.tap.progress.terminal_line import TerminalLine
from tap_jetti.tap.progress.throughput import COUNT_AFTER_PAGES, Throughput
from tap_jetti.tap.run_summary import StreamFigures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runs import Commands
    from tap_jetti.sandbox import Sandbox

WIDTH = 72


class Terminal:
    """A pseudo-terminal: a file to write to, and what a screen of its width would show of that."""

    def __init__(self, width: int) -> None:
        """Open it."""
        self.width = width
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        self.file = os.fdopen(slave, "w", buffering=1)
        self._received = b""
        self._reader = threading.Thread(target=self._receive, args=(master,))
        self._reader.start()

    def close(self) -> str:
        """Close it and answer all that was sent."""
        self.file.close()
        self._reader.join()
        return self._received.decode()

    def _receive(self, master: int) -> None:
        with open(master, "rb", buffering=0) as file, contextlib.suppress(OSError):  # that is how such a one ends
            while chunk := file.read(65536):
                self._received += chunk

    def screen(self) -> list[str]:
        """The lines on the screen at the end, the last one being that of the cursor."""
        lines, column = [""], 0
        for part in re.findall(r"\x1b\[K|[\r\n]|[^\r\n\x1b]+", self.close()):
            if part == "\r":
                column = 0
            elif part == "\n":
                lines.append("")
            elif part == "\x1b[K":
                lines[-1] = lines[-1][:column]
            else:
                lines[-1] = lines[-1][:column].ljust(column) + part + lines[-1][column + len(part) :]
                column += len(part)
        return lines

    def pictures(self) -> list[str]:
        """The live lines, as they came."""
        return [text for text in re.findall(r"\r([^\r\n\x1b]+)\x1b\[K\r", self.close()) if text]


@pytest.fixture
def terminals(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Terminal]]:
    """Open terminals that can erase."""
    monkeypatch.setenv("TERM", "xterm")
    with contextlib.ExitStack() as stack:

        def connect(width: int = WIDTH) -> Terminal:
            terminal = Terminal(width)
            stack.callback(terminal.close)
            return terminal

        yield connect


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What the tap logged of streams and runs, a line each."""
    caplog.set_level(logging.INFO)
    return lambda: [text for text in caplog.messages if text.startswith(("stream=", "outcome="))]


def fill(sandbox: Sandbox, count: int, stream: str = "sales") -> None:
    """Rows, one each second."""
    sandbox.replace(
        stream,
        [
            {"id": n + 1, "updatedAt": time.strftime("%Y-%m-%dT%H:%M:%S.000400Z", time.gmtime(1.577e9 + n))}
            for n in range(count)
        ],
    )


def run_slowly(sandbox: Sandbox, clock: VirtualClock, seconds: float = 1.0, **settings: Any) -> Any:
    """Read sales and purchase_invoices with one request a so-and-so many seconds."""
    sandbox.on_request = lambda *_: clock.advance(seconds)
    return run_here(
        config_for(sandbox, concurrency=1, rate_limit=2 / seconds, page_size=100, **settings),
        streams=("purchase_invoices", "sales"),
        clock=clock,
    )


def counts_of(sandbox: Sandbox) -> int:
    """How often anything was counted."""
    return sum("count.json" in entry.path for entry in sandbox.requests.entries())


def fields_of(line: str) -> dict[str, str]:
    """The figures of a structured line."""
    return dict(part.split("=") for part in line.split())


# --- how fast, and how long ----------------------------------------------------------------------------------------


@pytest.fixture
def throughputs(clock: VirtualClock) -> Callable[..., Throughput]:
    """Begin streams whose rows are counted as told, at a limit of two GETs a second."""
    return lambda total, stats=None: Throughput(lambda: total, clock=clock, stats=stats or RequestStats(), rate=2.0)


def test_what_is_left_is_told_by_the_last_minute(throughputs: Callable[..., Throughput], clock: VirtualClock) -> None:
    """A stream that was slow at first is expected to end as fast as it goes now, in steps of pages."""
    throughput = throughputs(50_000)
    for seconds, pages in ((5.0, 40), (0.5, 160)):
        for _ in range(pages):
            clock.advance(seconds)
            throughput.advance(100)
            throughput.measure()
    assert throughput.rows_per_second == pytest.approx(200, rel=0.02)
    assert throughput.seconds_left == pytest.approx((50_000 - 20_000) / 200, rel=0.02)


@pytest.mark.parametrize(("total", "left"), [(3_000, 0), (2_999, None), (0, None), (None, None)])
def test_a_count_that_is_outgrown_is_forgotten(
    total: int | None, left: float | None, throughputs: Callable[..., Throughput], clock: VirtualClock
) -> None:
    """Nothing is ever left to read for less than no time, and where more came than was counted nothing is told."""
    throughput = throughputs(total)
    for _ in range(30):
        clock.advance(1)
        throughput.advance(100)
        throughput.measure()
    assert throughput.seconds_left == left


@pytest.mark.parametrize(
    ("pages", "seconds", "asked"),
    [(19, 100, 0), (1000, 9.5, 0), (20, 10, 1), (1000, 100, 1)],
    ids=["few pages", "a short time", "just long", "long"],
)
def test_rows_are_counted_once_and_only_of_what_is_long(
    pages: int, seconds: float, asked: int, clock: VirtualClock
) -> None:
    """The count is asked for once a stream has had 20 pages and 10 seconds, also if nothing is answered."""
    questions: list[None] = []
    throughput = Throughput(lambda: questions.append(None), clock=clock, stats=RequestStats(), rate=2.0)
    for _ in range(pages):
        clock.advance(seconds / pages)
        throughput.advance(100)
        throughput.measure()
    assert len(questions) == asked


def test_the_share_of_the_limit_is_the_last_minutes(
    throughputs: Callable[..., Throughput], clock: VirtualClock
) -> None:
    """The share is of what the limit allowed lately, at most all of it, and not told before that is a whole GET."""
    stats = RequestStats()
    throughput = throughputs(None, stats)
    stats.add(gets=2)
    clock.advance(0.4)
    throughput.measure()
    assert throughput.limit_share is None
    clock.advance(0.4)
    throughput.measure()
    assert throughput.limit_share == 1.0
    for _ in range(100):
        clock.advance(1)
        stats.add(gets=1)
        throughput.measure()
    assert throughput.limit_share == pytest.approx(0.5)


def test_a_stall_shows(throughputs: Callable[..., Throughput], clock: VirtualClock) -> None:
    """A stream that has had nothing for five minutes is told to be as slow as that."""
    throughput = throughputs(None)
    for pause in (*[1.0] * 30, 300.0):
        clock.advance(pause)
        throughput.advance(100)
        throughput.measure()
    assert throughput.rows_per_second < 10


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "<1 s"),
        (0.99, "<1 s"),
        (1, "1 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (3599.6, "1 h 0 min"),
        (7500, "2 h 5 min"),
        (360_000, "100 h 0 min"),
    ],
)
def test_times_are_told_as_one_says_them(seconds: float, words: str) -> None:
    """The two largest units of a time are told."""
    assert format_duration(seconds) == words


# --- the live line -------------------------------------------------------------------------------------------------


def test_what_is_written_goes_above_the_line(
    terminals: Callable[..., Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines of any logger, tracebacks and texts in pieces come out whole, in order, with nothing of the live line."""
    terminal = terminals()
    handler = logging.StreamHandler(terminal.file)
    logger = logging.getLogger("with a handler of its own")
    monkeypatch.setattr(logger, "handlers", [handler])
    line = TerminalLine(terminal.file)
    line.open()
    line.show("live " * 10)
    logger.warning("a log line")
    line.show("live " * 5)
    traceback.print_exception(ValueError("an error"), file=terminal.file)
    print("a text", end="", file=terminal.file)
    line.show("live")
    print(" in pieces", file=terminal.file)
    line.show("live again")
    line.close()
    print("and after it", file=terminal.file)
    assert terminal.screen() == [
        "a log line",
        "ValueError: an error",
        "a text in pieces",
        "and after it",
        "",
    ]


def test_the_line_comes_back_below_what_was_written(terminals: Callable[..., Terminal]) -> None:
    """A log line does not take the live line away for longer than it takes to write it."""
    terminal = terminals()
    line = TerminalLine(terminal.file)
    line.open()
    line.show("live")
    print("a log line", file=terminal.file)
    assert terminal.screen() == ["a log line", "live"]


def test_lines_of_many_threads_stay_whole(terminals: Callable[..., Terminal]) -> None:
    """Whatever threads log while the live line changes, no line has anything of another in it."""
    terminal = terminals()
    handler = logging.StreamHandler(terminal.file)
    line = TerminalLine(terminal.file)
    line.open()
    threads = [
        threading.Thread(
            target=lambda: [handler.emit(logging.makeLogRecord({"msg": "a log line"})) for _ in range(100)]
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        line.show("the live line, which is longer")
    line.close()
    assert terminal.screen() == [*["a log line"] * 400, ""]


def test_a_terminal_that_is_gone_stops_nothing(terminals: Callable[..., Terminal], monkeypatch: Any) -> None:
    """A live line that cannot be written is done without."""
    terminal = terminals()

    def fail(_: str) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(terminal.file, "write", fail)
    line = TerminalLine(terminal.file)
    line.open()
    line.show("live")
    line.close()


@pytest.mark.parametrize("width", [2, 10, 30, 40, 60, 90])
def test_the_line_fits_the_terminal(width: int, terminals: Callable[..., Terminal], clock: VirtualClock) -> None:
    """However narrow the terminal is, the last column stays empty, and the least important parts are left out."""
    terminal = terminals(width)
    progress = Progress(
        TerminalLine(terminal.file),
        is_logged=False,
        figures={str(n): StreamFigures() for n in range(25)},
        logger=logging.getLogger("tests"),
        clock=clock,
        stats=RequestStats(),
        rate=2.0,
    )
    progress.begin("sales", lambda: 60_000)
    for _ in range(COUNT_AFTER_PAGES):
        clock.advance(0.5)
        progress.advance(100)
    picture = terminal.pictures()[-1]
    assert len(picture) < width
    whole = "1/25 sales   2,000 of 60,000 rows   3%  200/s  limit 0%  ETA 4 min 50 s"
    assert picture == {
        90: whole,
        60: "1/25 sales   2,000 of 60,000 rows   3%  ETA 4 min 50 s",
    }.get(width, "1/25 sales   2,000 of 60,000 rows   3%  ETA 4 min 50 s"[: width - 1])


# --- runs ----------------------------------------------------------------------------------------------------------


def test_the_eta_of_a_run_is_right(
    terminals: Callable[..., Terminal],
    sandboxes: Callable[..., Sandbox],
    clock: VirtualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From the count on each picture's ETA is right within a tenth, for a stream by date and for one by id."""
    terminal, sandbox = terminals(100), sandboxes(clock=clock.time, null_dates=0.0)
    monkeypatch.setattr(sys, "stderr", terminal.file)
    fill(sandbox, 6_000)
    fill(sandbox, 5_000, "purchase_invoices")
    output = run_slowly(sandbox, clock)
    assert output.code == 0
    assert counts_of(sandbox) == 3
    pictures = terminal.pictures()
    assert pictures[0] == "1/2 purchase_invoices"
    for stream, total in (("purchase_invoices", 5_000), ("sales", 6_000)):
        told = 0
        for picture in pictures:
            found = re.match(
                rf"./2 {stream} +([\d,]+) of {total:,} rows +(\d+)% .*limit 50%  ETA (?:(\d+) min )?(\d+) s", picture
            )
            if found:
                told += 1
                rows, percent, minutes, seconds = (int((text or "0").replace(",", "")) for text in found.groups())
                assert percent == rows * 100 // total
                assert minutes * 60 + seconds == pytest.approx((total - rows) / 100, rel=0.1, abs=3)
        assert told >= 25
    assert all(len(picture) < 100 for picture in pictures)


@pytest.mark.parametrize(
    ("progress", "is_terminal", "kind"),
    [("auto", False, "xterm"), ("never", False, "xterm"), ("never", True, "xterm"), ("auto", True, "dumb")],
    ids=["no terminal", "never, no terminal", "never", "a dumb terminal"],
)
def test_nothing_is_asked_or_shown_where_nobody_looks_on(
    progress: str,
    is_terminal: bool,
    kind: str,
    terminals: Callable[..., Terminal],
    sandboxes: Callable[..., Sandbox],
    clock: VirtualClock,
    monkeypatch: pytest.MonkeyPatch,
    log: Callable[[], list[str]],
) -> None:
    """Without anybody to look on a long stream costs no further request, and the log has at most one line of it."""
    terminal, sandbox = terminals(), sandboxes(clock=clock.time)
    monkeypatch.setenv("TERM", kind)
    if is_terminal:
        monkeypatch.setattr(sys, "stderr", terminal.file)
    fill(sandbox, 6_000)
    run_slowly(sandbox, clock, progress=progress)
    assert counts_of(sandbox) == 2
    assert len(sandbox.requests) - 2 <= math.ceil(6_000 / 100) * 1.02 + 2
    assert "\x1b" not in terminal.close()
    streams = [] if progress == "never" else ["purchase_invoices", "sales"]
    assert [fields_of(line).get("stream") for line in log()] == [*streams, None]


def test_messages_on_a_terminal_are_left_alone(
    terminals: Callable[..., Terminal],
    sandboxes: Callable[..., Sandbox],
    commands: Commands,
) -> None:
    """Where the messages go to the terminal too, there is no live line among them."""
    terminal, sandbox = terminals(), sandboxes()
    fill(sandbox, 300)
    process = commands.start(config_for(sandbox), streams=("sales",), stdout=terminal.file, stderr=terminal.file)
    assert process.wait(60) == 0
    assert "\x1b" not in terminal.close()


def test_a_log_is_told_every_thirty_seconds_if_it_is_asked_for(
    sandboxes: Callable[..., Sandbox], clock: VirtualClock, log: Callable[[], list[str]]
) -> None:
    """With `progress: always` and no terminal a long stream has a structured line each 30 seconds."""
    sandbox = sandboxes(clock=clock.time)
    fill(sandbox, 15_000)
    fill(sandbox, 900, "purchase_invoices")
    run_slowly(sandbox, clock, seconds=0.5, progress="always")
    lines = [fields_of(line) for line in log()]
    assert [line["stream"] for line in lines[:-1]] == ["purchase_invoices", "sales", "sales", "sales"]
    for line, rows in zip(lines[1:3], (5_850, 11_750), strict=True):
        assert int(line["rows"]) == pytest.approx(rows, abs=100)
        assert line["total"] == "15000"
        assert int(line["rows_per_second"]) == pytest.approx(198, abs=4)
        assert int(line["eta_seconds"]) == pytest.approx((15_000 - rows) / 198, abs=2)
        assert int(line["limit_percent"]) == 50
    assert counts_of(sandbox) == 2


@pytest.mark.parametrize("verify_counts", [True, False])
def test_a_resource_that_is_not_counted_has_no_eta(
    verify_counts: bool,
    terminals: Callable[..., Terminal],
    sandboxes: Callable[..., Sandbox],
    clock: VirtualClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Where count.json answers 404 this is said once, and not even asked where counts are not wanted."""
    terminal, sandbox = terminals(), sandboxes(clock=clock.time, count="none")
    monkeypatch.setattr(sys, "stderr", terminal.file)
    fill(sandbox, 4_000)
    assert run_slowly(sandbox, clock, verify_counts=verify_counts).code == 0
    assert not any("ETA" in picture or " of " in picture for picture in terminal.pictures())
    assert counts_of(sandbox) == 2 * verify_counts
    assert sum("does not count sales" in text for text in caplog.messages) == verify_counts


def test_an_estimate_that_fails_costs_no_row(
    terminals: Callable[..., Terminal],
    sandboxes: Callable[..., Sandbox],
    clock: VirtualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server that cannot count for a while costs the ETA of a read that needs no count, and no row."""
    terminal, sandbox = terminals(), sandboxes(clock=clock.time, fault_kinds=("503",))
    fill(sandbox, 200)
    config = config_for(sandbox, concurrency=1, rate_limit=2, page_size=100)
    first = run_here(config, streams=("sales",), clock=clock)
    monkeypatch.setattr(sys, "stderr", terminal.file)
    fill(sandbox, 4_030)
    clock = VirtualClock(wall=clock.time() + 60)  # a run stops its clock
    sandbox.options.clock = clock.time

    def answer(number: int, _: str, path: str) -> None:
        clock.advance(1)
        sandbox.options.faults = float("count.json" in path and number < 35)

    sandbox.on_request = answer
    output = run_here(config, streams=("sales",), clock=clock, state=first.state)
    assert output.code == 0
    assert output.ids("sales") == list(range(201, 4_031))
    assert counts_of(sandbox) > 1
    assert not any("ETA" in picture for picture in terminal.pictures())


@pytest.mark.parametrize(
    ("options", "settings", "streams", "run"),
    [
        ({}, {}, ["complete", "complete"], {"outcome": "complete", "complete": "2"}),
        ({"forbidden": ("sales",)}, {}, ["complete", "failed"], {"outcome": "incomplete", "complete": "1"}),
        ({"token": "another"}, {"api_token": "wrong"}, ["failed"], {"outcome": "failed", "complete": "0"}),
    ],
    ids=["all well", "a stream forbidden", "token refused"],
)
def test_the_last_line_sums_up(
    options: dict[str, Any],
    settings: dict[str, Any],
    streams: list[str],
    run: dict[str, str],
    sandboxes: Callable[..., Sandbox],
    log: Callable[[], list[str]],
) -> None:
    """Each stream ends with a line of its outcome, and the run with one of all figures."""
    sandbox = sandboxes(**options)
    fill(sandbox, 250)
    run_here(
        config_for(sandbox, **settings),
        streams=("purchase_invoices", "sales"),
        error=AuthenticationError if settings else None,
    )
    *lines, last = (fields_of(line) for line in log())
    assert [line["outcome"] for line in lines] == streams
    assert last.items() >= run.items()
    assert last["rows"] == str(sum(int(line["rows"]) for line in lines))
    assert last["gets"] == str(len(sandbox.requests))
    assert list(last) == [
        *("outcome", "streams", "complete", "rows", "seconds", "gets", "waited_seconds", "retries", "refused")
    ]


def test_an_interrupt_leaves_the_terminal_clean(
    terminals: Callable[..., Terminal], sandboxes: Callable[..., Sandbox], commands: Commands
) -> None:
    """Ctrl-C in a stream ends with whole lines, the outcome, a free last line, and nothing in the output."""
    terminal, sandbox = terminals(200), sandboxes(latency=0.05)
    fill(sandbox, 50_000)
    process = commands.start(
        config_for(sandbox, concurrency=1),
        streams=("sales",),
        stderr=terminal.file,
        environment={"PYTHONWARNINGS": "ignore"},  # the SDK warns of a Python past its end of life
    )
    sandbox.on_request = lambda number, *_: process.send_signal(signal.SIGINT) if number == 20 else None
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert all(json.loads(line)["type"] in {"SCHEMA", "RECORD", "STATE"} for line in stdout.splitlines())
    *lines, free = terminal.screen()
    assert free == ""
    assert not any("1/1 sales" in line for line in lines)
    outcomes = [line for line in lines if re.match(r"\d{4}-\d\d-\d\d .* outcome=interrupted ", line)]
    assert [("stream=sales" in line) for line in outcomes] == [True, False]
    assert any("1/1 sales" in picture for picture in terminal.pictures())
