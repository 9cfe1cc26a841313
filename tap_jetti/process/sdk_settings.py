"""The settings that the SDK reads itself, with the bounds that it does not check: stream maps, flattening, batches."""

from __future__ import annotations

from copy import deepcopy
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from tap_jetti.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

_BATCH_SIZE = {"type": ["integer", "null"], "minimum": 1, "description": "Maximum number of rows in a batch."}


def tighten(properties: dict[str, Any]) -> None:
    """Correct the JSON Schemas of the SDK's settings, of which some promise more than the SDK keeps.

    Args:
        properties: The schemas of all settings by name. Those of the SDK are replaced.
    """
    for name in ("stream_maps", "batch_config"):
        if name in properties:
            properties[name] = _valid(deepcopy(properties[name]))
    for name, minimum in (("flattening_max_depth", 0), ("flattening_max_key_length", 1)):
        if name in properties:
            properties[name] = {**properties[name], "minimum": minimum}
    if "batch_config" in properties:
        batch = properties["batch_config"]
        batch["required"] = ["encoding", "storage"]
        batch["properties"]["batch_size"] = _BATCH_SIZE
        for part, field in (("encoding", "format"), ("storage", "root")):
            known = batch["properties"][part]
            known.update(type=["object"], required=[field])
            known["properties"][field]["type"] = ["string"]
        batch["properties"]["encoding"].update(additionalProperties=False)
        batch["properties"]["storage"]["properties"]["params"] = {"type": ["object", "null"]}
        batch["properties"]["storage"].update(additionalProperties=False)
        batch.update(additionalProperties=False)
        # The SDK compresses in any case.
        batch["properties"]["encoding"]["properties"]["compression"]["enum"] = ["gzip"]


def _valid(schema: Any) -> Any:  # noqa: ANN401 - any JSON
    """A schema without the bare words that the SDK writes among the alternatives of `anyOf`."""
    if isinstance(schema, list):
        return [_valid(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: [_valid(item) for item in value if isinstance(item, dict)] if key == "anyOf" else _valid(value)
        for key, value in schema.items()
    }


def check_sdk_settings(config: Mapping[str, Any]) -> None:
    """Check what a JSON Schema cannot express.

    Raises:
        SettingsError: Settings do not go together, or need a package that is missing.
    """
    if config.get("flattening_enabled") and config.get("flattening_max_depth") is None:
        raise SettingsError("flattening_enabled needs flattening_max_depth: how many levels to flatten.")
    batch = config.get("batch_config")
    if batch and batch["encoding"]["format"] == "parquet" and find_spec("pyarrow") is None:
        raise SettingsError("batch_config: the format parquet needs pyarrow. Install it, or use jsonl.")


def with_compression(batch: Any) -> Any:  # noqa: ANN401 - any JSON, as it has not been validated
    """The setting `batch_config` that says what the SDK does where it says nothing: it compresses JSON lines."""
    encoding = batch.get("encoding") if isinstance(batch, dict) else None
    if not isinstance(encoding, dict) or encoding.get("format") != "jsonl" or encoding.get("compression"):
        return batch
    return {**batch, "encoding": {**encoding, "compression": "gzip"}}
