"""Reads with Airbyte's low-code CDK: `manifest.yaml` through `source-declarative-manifest`.

Usage: python read.py JOB FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import backoff
import yaml  # type: ignore[import-untyped]
from airbyte_cdk.cli.source_declarative_manifest import run

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
SCHEMAS = HERE.parents[1] / "schemas"


def stream(name: str) -> dict[str, Any]:
    """One resource, from the definition that all resources share."""
    return {
        "$ref": "#/definitions/stream",
        "name": name,
        "$parameters": {"path": f"{name.replace('_', '-')}.json"},
        "schema_loader": {"type": "InlineSchemaLoader", "schema": schema(name)},
    }


def schema(name: str) -> dict[str, Any]:
    """The resource's JSON Schema."""
    text = (SCHEMAS / f"{name}.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def shorten_pauses(scale: float) -> None:
    """Divide the CDK's own pauses after a refused request by the scale of the benchmark's clock.

    A manifest cannot do that: its strategies add a whole second. The waits of the budget do not change.
    """
    expo = backoff.expo

    def shorter(*arguments: Any, **named: Any) -> Iterator[float | None]:  # noqa: ANN401 - the library's own
        for seconds in expo(*arguments, **named):
            yield seconds and seconds / scale

    backoff.expo = shorter  # type: ignore[assignment]


def main() -> None:
    """Write the configuration and the catalog, and read."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(sys.argv[2])
    if job["scale"] != 1:
        shorten_pauses(job["scale"])
    manifest = yaml.safe_load((HERE / "manifest.yaml").read_text(encoding="utf-8"))
    manifest["streams"] = [stream(name) for name in job["streams"]]
    manifest["check"]["stream_names"] = job["streams"][:1]
    if job["rate"]:
        budget = {"limit": 2, "interval": f"PT{2 / job['rate']:g}S"}
        manifest["api_budget"]["policies"][0]["rates"] = [budget]
    else:
        del manifest["api_budget"]
    config = {**job, "__injected_declarative_manifest": manifest}
    catalogue = {
        "streams": [
            {
                "stream": {"name": name, "json_schema": schema(name), "supported_sync_modes": ["incremental"]},
                "sync_mode": "incremental",
                "destination_sync_mode": "append",
            }
            for name in job["streams"]
        ]
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "catalog.json").write_text(json.dumps(catalogue), encoding="utf-8")
    sys.argv[1:] = ["read", "--config", str(folder / "config.json"), "--catalog", str(folder / "catalog.json")]
    sys.argv += ["--state", job["state"]] if job["state"] else []
    run()


if __name__ == "__main__":
    main()
