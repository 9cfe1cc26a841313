"""Measures tap-jetti and other readers side by side, and writes a table and a chart.

Usage: make bench
A few minutes, and only some of the parts:
python benchmarks/run.py --only throughput,saturation,shared,growth,night,pages --quick

Each reader has its own environment. All of them read from the same servers on this machine. Each part that is
measured replaces the same part in results.json. Table and chart show all parts in that file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import chart
import growth
import night
import pages
import saturation
import shared
import tables
import throughput
from environments import HERE, ROOT, UnavailableError, prepare, versions
from readers import ADAPTIVE, FLOOR, PLAIN, READERS, TAP_JETTI, Reader

if TYPE_CHECKING:
    from collections.abc import Callable

SCALE, QUICK_SCALE = 3.0, 10.0
"""How many times as fast as real time the parts with a rate limit run by default.

A reader's own work is not faster. At 0.5 s latency that adds 3 to 6 % to the time of a serial reader at 3. At 10 it
adds 12 to 33 %, most to the slowest reader, which is too much for a fair comparison.
"""


def main() -> None:
    """Measure what the command line asks for."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    chosen = _options()
    readers, unavailable = _install(chosen.readers)
    commit = _commit()  # read now: the checkout may change during the measurement
    results = _earlier(chosen.output / "results.json")
    results["machine"] = _machine()
    results["versions"] = {reader.title: versions(reader.name).get(reader.package, "?") for reader in readers}
    results["unavailable"] = unavailable
    for part in chosen.only:
        print(f"{part}:", flush=True)
        started, load = time.monotonic(), os.getloadavg()[0]
        data = PARTS[part](readers, chosen)
        results["parts"][part] = {
            "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            "commit": commit,
            "load": round(load, 1),
            "seconds": round(time.monotonic() - started),
            "quick": chosen.quick,
            "scale": chosen.scale,
            "data": data,
        }
        _write(chosen.output, results)
    print()
    print(tables.markdown(results))
    print(f"Wrote results.md, results.json and results.svg to {chosen.output}.")


def _with_adaptive(readers: list[Reader]) -> list[Reader]:
    """The readers, and tap-jetti a second time with its default page size."""
    return [one for reader in readers for one in ((reader, ADAPTIVE) if reader is TAP_JETTI else (reader,))]


def _throughput(readers: list[Reader], chosen: argparse.Namespace) -> object:
    rows, repeat = (20_000, 1) if chosen.quick else (100_000, 3)
    return throughput.measure(_with_adaptive(readers), rows=rows, repeat=repeat)


def _saturation(readers: list[Reader], chosen: argparse.Namespace) -> object:
    return saturation.measure(
        [reader for reader in readers if reader is not FLOOR],
        pages=40 if chosen.quick else 200,
        latencies=(0.05, 1.0) if chosen.quick else (0.05, 0.5, 1.0, 2.0),
        capacities=(2.0,),
        scale=chosen.scale,
    )


def _shared(readers: list[Reader], chosen: argparse.Namespace) -> object:
    limited = [reader for reader in readers if reader is not FLOOR]
    return shared.measure(limited, pages=20 if chosen.quick else 60, scale=chosen.scale)


def _growth(readers: list[Reader], chosen: argparse.Namespace) -> object:
    sizes = (1_000, 10_000, 50_000) if chosen.quick else (10_000, 100_000, 1_000_000)
    measured = [reader for reader in readers if reader in {TAP_JETTI, PLAIN}]
    return growth.measure(_with_adaptive(measured), sizes=sizes)


def _night(readers: list[Reader], chosen: argparse.Namespace) -> object:
    return night.measure([reader for reader in readers if reader is not FLOOR], scale=chosen.scale)


def _pages(readers: list[Reader], chosen: argparse.Namespace) -> object:
    limited = [reader for reader in readers if reader is not FLOOR]
    return pages.measure(limited, rows=2_000 if chosen.quick else 20_000, scale=chosen.scale)


PARTS: dict[str, Callable[[list[Reader], argparse.Namespace], object]] = {
    "throughput": _throughput,
    "saturation": _saturation,
    "shared": _shared,
    "growth": _growth,
    "night": _night,
    "pages": _pages,
}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=_parts, default=list(PARTS), help=f"parts to measure, of {','.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="less data, a few minutes; do not publish the results")
    parser.add_argument(
        "--scale",
        type=float,
        help=f"how many times as fast as real time the clock runs (default {SCALE:g}, with --quick {QUICK_SCALE:g})",
    )
    parser.add_argument(
        "--real", dest="scale", action="store_const", const=1.0, help="the same as --scale 1; takes hours"
    )
    names = ",".join(reader.name for reader in READERS)
    parser.add_argument("--readers", type=_readers, default=READERS, help=f"readers to measure, of {names}")
    parser.add_argument("--output", type=Path, default=HERE, help="folder for the results")
    chosen = parser.parse_args()
    if chosen.scale is None:
        chosen.scale = QUICK_SCALE if chosen.quick else SCALE
    return chosen


def _parts(text: str) -> list[str]:
    parts = text.split(",")
    if not set(parts) <= set(PARTS):
        raise argparse.ArgumentTypeError(f"expected some of {', '.join(PARTS)}")
    return parts


def _readers(text: str) -> list[Reader]:
    known = {reader.name: reader for reader in READERS}
    if not set(text.split(",")) <= set(known):
        raise argparse.ArgumentTypeError(f"expected some of {', '.join(known)}")
    return [known[name] for name in text.split(",")]


def _install(readers: list[Reader]) -> tuple[list[Reader], dict[str, str]]:
    """The readers that can be installed, and for the others the reason why not."""
    installed, unavailable = [], {}
    try:
        for needed in (TAP_JETTI, FLOOR):  # the servers and the raw client need them
            prepare(needed.name)
    except UnavailableError as error:
        sys.exit(str(error))
    for reader in readers:
        try:
            prepare(reader.name)
        except UnavailableError as error:
            print(f"  {error}", flush=True)
            unavailable[reader.title] = str(error)
        else:
            installed.append(reader)
    return installed, unavailable


def _earlier(file: Path) -> dict[str, Any]:
    if not file.exists():
        return {"parts": {}}
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def _write(folder: Path, results: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "results.json": json.dumps(results, indent=1) + "\n",
        "results.md": tables.markdown(results),
        "results.svg": chart.svg(results),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def _machine() -> str:
    model = platform.processor() or platform.machine()
    cpus = Path("/proc/cpuinfo")
    if cpus.exists():
        lines = [line for line in cpus.read_text(encoding="utf-8").splitlines() if line.startswith("model name")]
        model = lines[0].partition(":")[2].strip() if lines else model
    return f"{os.cpu_count()} x {model}, {platform.system()}, Python {platform.python_version()}"


def _commit() -> str:
    git = ["git", "-C", str(ROOT)]
    try:
        commit = subprocess.run([*git, "rev-parse", "--short", "HEAD"], check=True, capture_output=True, text=True)
        changes = subprocess.run(
            [*git, "status", "--porcelain", "--", "tap_jetti"], check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "?"
    return commit.stdout.strip() + ("+" if changes.stdout else "")


if __name__ == "__main__":
    main()
