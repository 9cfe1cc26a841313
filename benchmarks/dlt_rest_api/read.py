"""Reads with dlt's `rest_api` source, as its documentation configures it, into JSONL files.

Usage: python read.py JOB OUTPUT_FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import dlt
from dlt.sources.rest_api import rest_api_source

if TYPE_CHECKING:
    from dlt.sources.rest_api.typing import RESTAPIConfig


def main() -> None:
    """Extract, normalise and load."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(sys.argv[2])
    config: RESTAPIConfig = {
        "client": {
            "base_url": job["api_url"],
            "auth": {"type": "bearer", "token": job["token"]},
            "paginator": {"type": "page_number", "base_page": 0, "page_param": "from", "total_path": None},
        },
        "resource_defaults": {
            "primary_key": "id",
            "write_disposition": "append",
            "endpoint": {
                "params": {
                    "limit": job["page_size"],
                    "order[attribute]": "updatedAt",
                    "where[updatedAt][$gte]": "{incremental.start_value}",
                },
                "incremental": {"cursor_path": "updatedAt", "initial_value": "1970-01-01T00:00:00.000Z"},
            },
        },
        "resources": [
            {"name": name, "endpoint": {"path": f"{name.replace('_', '-')}.json"}} for name in job["streams"]
        ],
    }
    pipeline = dlt.pipeline(
        pipeline_name="bench",
        pipelines_dir=str(folder / "pipelines"),
        destination=dlt.destinations.filesystem(bucket_url=(folder / "loaded").as_uri()),
        dataset_name="jetti",
    )
    pipeline.run(rest_api_source(config), loader_file_format="jsonl")


if __name__ == "__main__":
    main()
