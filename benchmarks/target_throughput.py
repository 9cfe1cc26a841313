"""How fast the target reads rows and sends them inbound, without a rate limit and with one.

python benchmarks/target_throughput.py            # without a limit, then 20 calls/s with latencies of 0, 0.5 and 2 s
python benchmarks/target_throughput.py --quick    # a tenth of the records
python benchmarks/target_throughput.py --only intake  # nothing is sent; see target_intake.py
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tap_jetti.tap.column_names import to_snake_case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).resolve().parent
ROUNDS = 5
FIELDS = {
    "externalId": {"type": "string"},
    "vendorSku": {"type": "string"},
    "inventoryQuantity": {"type": "integer"},
    "costPrice": {"type": "number"},
    "cachedName": {"type": "string"},
    "updatedAt": {"type": "string", "format": "date-time"},
}


def write_input(path: Path, records: int, column: Callable[[str], str] = str) -> None:
    """Write the Singer input: a SCHEMA, records of six fields, a STATE every thousand.

    Args:
        path: Where to.
        records: How many.
        column: What the column of a field is called.
    """
    with path.open("w", encoding="utf-8") as file:
        schema = {"type": "object", "properties": {column(name): facts for name, facts in FIELDS.items()}}
        head = {"type": "SCHEMA", "stream": "inventory_feed_variants", "schema": schema}
        file.write(json.dumps({**head, "key_properties": [column("externalId")]}) + "\n")
        for number in range(records):
            record = {
                "externalId": f"ext-{number:07d}",
                "vendorSku": f"SKU-{number:07d}",
                "inventoryQuantity": number % 97,
                "costPrice": round(number % 1000 / 7, 2),
                "cachedName": f"Stoneware cup no. {number}",
                "updatedAt": "2024-05-01T12:00:00.000Z",
            }
            renamed = {column(name): value for name, value in record.items()}
            message = {"type": "RECORD", "stream": "inventory_feed_variants", "record": renamed}
            file.write(json.dumps(message) + "\n")
            if number % 1000 == 999:
                file.write(json.dumps({"type": "STATE", "value": {"done": number + 1}}) + "\n")


@contextlib.contextmanager
def stub(latency: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """A server that accepts everything. Its figures are known when the context ends."""
    figures: dict[str, Any] = {}
    command = [sys.executable, str(HERE / "target_stub.py"), str(latency)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        port = server.stdout.readline().strip() if server.stdout else ""
        yield f"http://127.0.0.1:{port}/", figures
        out, _ = server.communicate()
        figures.update(json.loads(out))


def run(directory: Path, url: str, **settings: float) -> dict[str, Any]:
    """Run the target as a process and measure it from the outside."""
    config = directory / "config.json"
    config.write_text(
        json.dumps(
            {
                "api_token": "t",
                "api_url": url + "api/",
                "inbound_url": url + "webhooks/",
                "inventory_feed_id": 7,
                "inventory_feed_hash": "h",
                "skip_unchanged": False,
                "rate_limit_store": "memory://",
                **settings,
            }
        ),
        encoding="utf-8",
    )
    command = [sys.executable, "-c", "from tap_jetti.cli import target; target()", "--config", str(config)]
    started = time.monotonic()
    with (directory / "input").open("rb") as source:
        out, errors = directory / "out", directory / "errors"
        with out.open("wb") as stdout, errors.open("wb") as stderr:
            process = subprocess.Popen(command, stdin=source, stdout=stdout, stderr=stderr, cwd=HERE.parent)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - started
    if status:
        sys.exit(errors.read_text())
    return {
        "seconds": seconds,
        "cpu": usage.ru_utime + usage.ru_stime,
        "mb": usage.ru_maxrss / 1024,
        "state": json.loads(out.read_text().splitlines()[-1])["done"],
    }


def intake(path: Path, records: int) -> None:
    """Measure the intake and the SDK's own sink in turns, and print the best of each."""
    best: dict[str, dict[str, float]] = {}
    snake_case = path.with_suffix(".snake_case")
    write_input(snake_case, records, to_snake_case)
    for _ in range(ROUNDS):
        for way in ("target", "snake_case", "library", "sink"):
            source = snake_case if way == "snake_case" else path
            command = [sys.executable, str(HERE / "target_intake.py"), way.replace("snake_case", "target"), str(source)]
            done = subprocess.run(command, capture_output=True, check=False, text=True)
            if done.returncode:
                sys.exit(done.stderr)
            found = json.loads(done.stdout)
            best[way] = {name: min(found[name], best.get(way, found)[name]) for name in found}
    sink = best["sink"]["wall"]
    for way, what in (
        ("target", "intake, all but HTTP"),
        ("snake_case", "the same, columns in snake_case"),
        ("library", "intake, with the HTTP library but no sockets"),
        ("sink", "the SDK's batch sink with its default validator, no HTTP"),
    ):
        wall, processor = best[way]["wall"], best[way]["processor"]
        print(
            f"{what}: {records / wall:,.0f} rows/s, {records / processor:,.0f} per second of processor time,"
            f" {sink / wall:.1f} times the SDK's sink (best of {ROUNDS})"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=["intake", "free", "limited"])
    arguments = parser.parse_args()
    records = 10_000 if arguments.quick else 100_000
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        if arguments.only in {None, "intake"}:
            write_input(directory / "input", 2 * records)
            intake(directory / "input", 2 * records)
        if arguments.only in {None, "free"}:
            write_input(directory / "input", 2 * records)
            with stub(0) as (url, figures):
                found = run(directory, url, inbound_rate_limit=1e9)
            sent = figures["items"]
            print(
                f"no limit: {sent:,} records in {figures['requests']:,} calls, {found['seconds']:.1f} s,"
                f" {sent / found['cpu']:,.0f} records/s of processor time (start included),"
                f" {found['mb']:.0f} MB, STATE {found['state']:,}"
            )
        if arguments.only in {None, "limited"}:
            write_input(directory / "input", records)
            for latency in (0.0, 0.5, 2.0):
                with stub(latency) as (url, figures):
                    found = run(directory, url, inbound_rate_limit=40, concurrency=48)
                ideal = (figures["requests"] - 2) / 20
                print(
                    f"20 calls/s, latency {latency} s: {figures['items']:,} records in {figures['requests']:,} calls,"
                    f" {figures['span']:.2f} s = {figures['span'] / ideal:.4f} of the limit's own {ideal:.1f} s;"
                    f" with start and end {found['seconds']:.1f} s, {found['mb']:.0f} MB, STATE {found['state']:,}"
                )


if __name__ == "__main__":
    main()
