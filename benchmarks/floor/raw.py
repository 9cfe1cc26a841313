"""The most that the server can give: asks for one page after another on one connection and discards them.

Usage: python raw.py JOB PAGES
"""

from __future__ import annotations

import json
import sys
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit


def main() -> None:
    """Ask for the given number of pages of the first stream."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    base = urlsplit(job["api_url"])
    connection = HTTPConnection(base.hostname or "", base.port or 80, timeout=60)
    path = f"{base.path}{job['streams'][0].replace('_', '-')}.json"
    headers = {"Authorization": f"Bearer {job['token']}"}
    for page in range(int(sys.argv[2])):
        target = f"{path}?order%5Battribute%5D=updatedAt&limit={job['page_size']}&from={page}"
        connection.request("GET", target, headers=headers)
        connection.getresponse().read()


if __name__ == "__main__":
    main()
