"""The form of a catalog that a run is given: what is malformed is said before any request, with stream and place.

Taken are catalogs without what can be filled in (key, method, metadata), and the metadata that Meltano writes.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

import msgspec
from msgspec import Struct

from tap_jetti.errors import SettingsError
from tap_jetti.facts import resources
from tap_jetti.facts.resources import PRIMARY_KEY
from tap_jetti.tap.snapshot_stream import SNAPSHOT_SUFFIX

_METHOD = "forced-replication-method"
_CURE = "Create a catalog with tap-jetti --discover."


class _Metadata(Struct, rename="kebab"):
    """The metadata of a stream or of a field. Other keys are ignored: catalogs of others have more."""

    inclusion: Literal["available", "automatic", "unsupported"] | None = None
    selected: bool | None = None
    selected_by_default: bool | None = None
    replication_key: str | None = None
    replication_method: str | None = None
    forced_replication_method: str | None = None
    table_key_properties: list[str] | None = None


class _Node(Struct):
    breadcrumb: tuple[str, ...]
    metadata: _Metadata


class _Schema(Struct):
    """A JSON Schema, as far as it is read."""

    type: str | list[str] | None = None
    properties: dict[str, _Schema] = {}
    items: _Schema | None = None
    required: list[str] | None = None


class _Entry(Struct):
    """A stream of a catalog."""

    tap_stream_id: str
    schema: _Schema
    stream: str | None = None
    stream_alias: str | None = None
    key_properties: list[str] | None = None
    replication_key: str | None = None
    replication_method: str | None = None
    metadata: list[_Node] = []


def check_catalog(catalog: Any) -> dict[str, Any]:  # noqa: ANN401 - unchecked
    """Check the form of a catalog, and return it with what the SDK needs and others leave out.

    Raises:
        SettingsError: The form is wrong.
    """
    streams = catalog.get("streams") if isinstance(catalog, dict) else None
    if not isinstance(streams, list):
        raise SettingsError(f"Invalid catalog: it has no list of streams. {_CURE}")
    known, taken = set(resources.names()), set[str]()
    checked = []
    for index, raw in enumerate(streams):
        name = raw.get("tap_stream_id") if isinstance(raw, dict) else None
        name = name if isinstance(name, str) else f"stream {index + 1} of the list"
        try:
            entry = msgspec.convert(raw, _Entry)
        except (msgspec.ValidationError, RecursionError) as error:
            raise SettingsError(f"Invalid catalog: {name}{_field_of(raw)}: {_lower(str(error))}. {_CURE}") from error
        _check_breadcrumbs(entry)
        if name.removesuffix(SNAPSHOT_SUFFIX) in known:
            _check_wishes(entry)
        if name in taken:
            raise SettingsError(f"Invalid catalog: it lists {name} twice. Remove one of them.")
        taken.add(name)
        checked.append(_completed(raw, entry))
    return {**catalog, "streams": checked}


def _check_breadcrumbs(entry: _Entry) -> None:
    for breadcrumb, count in Counter(node.breadcrumb for node in entry.metadata).items():
        is_field = len(breadcrumb) > 1 and breadcrumb[0] == "properties"
        if count > 1 or (breadcrumb and not is_field):
            problem = "has metadata twice" if count > 1 else 'must be empty or begin with "properties" and a field'
            place = f"{entry.tap_stream_id}: the breadcrumb {list(breadcrumb)}"
            raise SettingsError(f"Invalid catalog: {place} {problem}. {_CURE}")


def _check_wishes(entry: _Entry) -> None:
    """Check that the catalog does not ask for what the tap does not do.

    Raises:
        SettingsError: It renames the stream, gives it another key, or requires a field.
    """
    name = entry.tap_stream_id
    renamed = next((new for new in (entry.stream, entry.stream_alias) if new not in {None, name}), None)
    if renamed:
        raise SettingsError(
            f"The catalog renames {name} to {renamed}, which it cannot."
            f' Use the setting stream_maps: {{"{name}": {{"__alias__": "{renamed}"}}}}.'
        )
    root = _root(entry)
    for keys in (entry.key_properties, root.table_key_properties):
        if keys and keys != [PRIMARY_KEY]:
            raise SettingsError(
                f"The catalog gives {name} the key {', '.join(keys)}, and it is always {PRIMARY_KEY}. Correct the"
                " catalog, or change the key by the setting stream_maps, __key_properties__."
            )
    required = sorted({*(entry.schema.required or ())} - {PRIMARY_KEY})
    if required:
        raise SettingsError(
            f"The catalog requires {name}.{required[0]}, which rows may not have. Remove required from its schema."
        )


def _root(entry: _Entry) -> _Metadata:
    return next((node.metadata for node in entry.metadata if not node.breadcrumb), _Metadata())


def _completed(raw: dict[str, Any], entry: _Entry) -> dict[str, Any]:
    """The entry with metadata of the stream itself: without it, the SDK would select the stream and not its keys."""
    metadata = list(raw.get("metadata", ()))
    if all(node.breadcrumb for node in entry.metadata):
        metadata.append({"breadcrumb": [], "metadata": {"selected": True}})
    method = _root(entry).replication_method
    if method:  # where Meltano writes what a user sets; the SDK reads it elsewhere
        metadata = [
            node if node["breadcrumb"] else {**node, "metadata": {**node["metadata"], _METHOD: method}}
            for node in metadata
        ]
    return {**raw, "metadata": metadata}


def _field_of(raw: Any) -> str:  # noqa: ANN401 - unchecked
    """The name of the first field whose schema is malformed, which msgspec does not tell."""
    schema = raw.get("schema") if isinstance(raw, dict) else None
    fields = schema.get("properties") if isinstance(schema, dict) else None
    for name, field in fields.items() if isinstance(fields, dict) else ():
        try:
            msgspec.convert(field, _Schema)
        except (msgspec.ValidationError, RecursionError):
            return f".{name}"
    return ""


def _lower(text: str) -> str:
    """A message of msgspec as part of a sentence."""
    return text[:1].lower() + text[1:]
