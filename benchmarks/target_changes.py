"""The requests, rows and memory that it takes to send only what changed, against the sandbox.

python benchmarks/target_changes.py               # 100,000 variants of which 2 % changed
python benchmarks/target_changes.py --variants 1000000
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tap_jetti.sandbox import Options, Sandbox

FEED = 7
EVERY = 50
"""One of so many variants has changed: 2 %."""

STREAM = "inventory_feed_variants"


def rows(variants: int, *, changed: bool) -> list[dict[str, object]]:
    """The variants before or after the change."""
    return [
        {
            "externalId": f"ext-{number:07d}",
            "vendorSku": f"SKU-{number:07d}",
            "inventoryQuantity": number % 97 + (changed and number % EVERY == 0),
            "costPrice": number % 1000 / 4,
        }
        for number in range(variants)
    ]


def peak_kib(pid: int) -> int:
    """The peak memory of a process. `wait4` would include this process, from before the other was executed."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def measure(variants: int, directory: Path) -> None:
    """Run the target as a process and print its figures."""
    with Sandbox(Options(empty=True, rate=0, inbound_delay=0.0)) as sandbox:
        sandbox.upsert("inventory_feeds", {"id": FEED, "name": "Stock", "resourceType": "webhook", "hash": "h"})
        old = "2020-01-01T00:00:00.000Z"
        sandbox.replace(
            STREAM,
            (
                {**row, "id": number + 1, "inventoryFeedId": FEED, "updatedAt": old}
                for number, row in enumerate(rows(variants, changed=False))
            ),
        )
        with (directory / "input").open("w", encoding="utf-8") as file:
            schema = {"type": "object", "properties": {name: {} for name in rows(1, changed=True)[0]}}
            file.write(json.dumps({"type": "SCHEMA", "stream": STREAM, "schema": schema}) + "\n")
            for row in rows(variants, changed=True):
                # Warehouses give decimals as text.
                record = {**row, "costPrice": f"{row['costPrice']:.2f}0"}
                file.write(json.dumps({"type": "RECORD", "stream": STREAM, "record": record}) + "\n")
            file.write(json.dumps({"type": "STATE", "value": {"done": variants}}) + "\n")
        config = {
            "api_token": sandbox.token,
            "api_url": sandbox.api_url,
            "inbound_url": sandbox.inbound_url,
            "inventory_feed_id": FEED,
            "rate_limit": 1e6,
            "rate_limit_burst": 1e6,
            "inbound_rate_limit": 1e6,
            "rate_limit_store": "memory://",
        }
        (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
        command = [sys.executable, "-c", "from tap_jetti.cli import target; target()"]
        command += ["--config", str(directory / "config.json")]
        sandbox.requests.clear()
        started = time.monotonic()
        with (directory / "input").open("rb") as source, (directory / "out").open("wb") as out:
            process = subprocess.Popen(command, stdin=source, stdout=out)
            peak = 0
            while process.poll() is None:
                peak = max(peak, peak_kib(process.pid))
                time.sleep(0.05)
        seconds = time.monotonic() - started
        sandbox.settle()
        updated = sum(not str(row["updatedAt"]).startswith("2020-01-01") for row in sandbox.rows(STREAM))
        print(
            f"{variants:,} variants, 2 % changed: {len(sandbox.requests.gets):,} GETs, {len(sandbox.requests.writes):,}"
            f" writes, {updated:,} rows updated, {peak / 1024:.0f} MB, {seconds:.1f} s without a rate limit,"
            f" exit code {process.returncode}, STATE {(directory / 'out').read_text().split()}"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--variants", type=int, default=100_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        measure(arguments.variants, Path(name))


if __name__ == "__main__":
    main()
