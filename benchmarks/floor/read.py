"""The floor: a keyset loop that turns pages into Singer lines, and nothing else.

It has no schema, checks, state, rate limit or retries: every reader in Python needs at least this time.

Usage: python read.py JOB
"""

from __future__ import annotations

import json
import sys
from datetime import datetime, timezone
from pathlib import Path

import orjson
import requests


def read(session: requests.Session, job: dict[str, str], name: str) -> None:
    """Write all rows of one resource."""
    page_size = int(job["page_size"])
    url = f"{job['api_url']}{name.replace('_', '-')}.json"
    key, seen = "1970-01-01T00:00:00.000Z", set[int]()
    while True:
        query: dict[str, str | int] = {
            "where[updatedAt][$gte]": key,
            "order[attribute]": "updatedAt",
            "limit": page_size,
        }
        answer = session.get(url, params=query, timeout=60)
        answer.raise_for_status()
        rows = orjson.loads(answer.content)
        extracted = datetime.now(timezone.utc).isoformat()
        lines = [
            orjson.dumps({"type": "RECORD", "stream": name, "record": row, "time_extracted": extracted})
            for row in rows
            if row["id"] not in seen
        ]
        sys.stdout.buffer.write(b"\n".join([*lines, b""]))
        if len(rows) < page_size:
            return
        key = rows[-1]["updatedAt"]
        seen = {row["id"] for row in rows if row["updatedAt"] == key}


def main() -> None:
    """Read all streams of the job."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {job['token']}"
        for name in job["streams"]:
            read(session, job, name)


if __name__ == "__main__":
    main()
