"""The golden catalog: one line per stream and field, so that a change of what the tap offers is seen in a review."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tap_jetti.tap.tap import TapJetti

if TYPE_CHECKING:
    from collections.abc import Iterator


def rendered(_text: str = "") -> str:
    """The golden catalog as it should be, whatever it is now."""
    return "".join(f"{line}\n" for lines in by_stream().values() for line in lines)


def by_stream() -> dict[str, list[str]]:
    """The lines of each stream of the catalog, sorted by stream: first the stream itself, then its fields."""
    tap = TapJetti(config={"api_token": "unused", "rate_limit_store": "memory://"}, parse_env_config=False)
    catalog = json.loads(json.dumps(tap.catalog_dict))
    return {
        entry["stream"]: list(_lines(entry)) for entry in sorted(catalog["streams"], key=lambda entry: entry["stream"])
    }


def _lines(entry: dict[str, Any]) -> Iterator[str]:
    metadata = {tuple(one["breadcrumb"]): one["metadata"] for one in entry["metadata"]}
    root = metadata[()]
    selected = "selected" if root.get("selected") or root.get("selected-by-default") else "to be selected"
    method = " by ".join(filter(None, [entry["replication_method"], entry.get("replication_key")]))
    yield f"{entry['stream']}: key {','.join(entry['key_properties'])}, {method}, {selected}"
    for name, facts in sorted(entry["schema"]["properties"].items()):
        types = facts["type"] if isinstance(facts["type"], list) else [facts["type"]]
        kind = "any JSON" if len(types) > 2 else facts.get("format") or types[0]  # noqa: PLR2004 - a type and null
        inclusion = metadata["properties", name].get("inclusion")
        yield (
            f"{entry['stream']}.{name} {kind}"
            f"{'' if 'null' in types else ' not null'}{'' if inclusion == 'available' else f' {inclusion}'}"
        )
