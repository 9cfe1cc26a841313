"""How a message names a record that was not made into an operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_jetti.target.shown_values import shown_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_jetti.target.delivery.operations import InputStream


def label_of(input_stream: InputStream, record: Mapping[str, Any], line: int) -> str:
    """Return what identifies a record in a message: its key and the number of its line.

    Args:
        input_stream: Its stream, which tells what its key is.
        record: The record as it was received, or after stream maps.
        line: The number of its line.
    """
    resource = input_stream.action.resource
    columns = {input_stream.columns.field_of(column): column for column in record}
    names = [input_stream.columns.field_of(key) for key in input_stream.keys] or input_stream.action.key_fields
    shown = [
        f"{name} {shown_value(resource, name, record[columns[name]])}"
        for name in names
        if name in columns and _is_scalar(record[columns[name]])
    ]
    return f"{', '.join(shown)} (line {line})" if shown else f"the record on line {line}"


def _is_scalar(value: object) -> bool:
    return value not in (None, "") and not isinstance(value, (dict, list))
