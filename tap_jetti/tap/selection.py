"""What a run reads without a catalog: the setting `select`, whose patterns are those of Meltano.

=====================  ===============================================================
`sales`                the stream, with its default fields
`sales.*`              the stream, with all fields
`sales.total`          the stream, with this field and its keys
`purchase_*`           all streams whose names match
`purchase_*.total`     those of them that have this field, with it and their keys
`!sales.billing*`      without the fields that match, whatever other patterns say
`!sales`               without the stream, whatever other patterns say
only patterns with !   the streams that are selected by default, without what matches
=====================  ===============================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from singer_sdk.singerlib import Metadata

from tap_jetti.errors import SettingsError
from tap_jetti.tap.snapshot_stream import SNAPSHOT_SUFFIX

if TYPE_CHECKING:
    import logging
    from collections.abc import Collection, Iterable, Mapping

    from singer_sdk import Stream

_ALL = "*"
_WILDCARDS = "*?[]"


@dataclass(frozen=True)
class _Pattern:
    """A pattern of the setting.

    Attributes:
        text: The pattern as it is in the setting.
        excludes: Whether it excludes what it matches.
        stream: The pattern of the stream's name.
        field: The pattern of the field's name; None if it has none.
    """

    text: str
    excludes: bool
    stream: str
    field: str | None

    @classmethod
    def parse(cls, text: str) -> _Pattern:
        """Parse a pattern.

        Raises:
            SettingsError: It has no stream, or nothing after its dot.
        """
        stripped = text.strip()
        stream, dot, field = stripped.removeprefix("!").strip().partition(".")
        if not stream or (dot and not field):
            raise SettingsError(f"select: {text!r} is not a pattern. Write it like sales, sales.*, or !sales.billing*.")
        return cls(stripped, stripped.startswith("!"), stream, field if dot else None)

    def matches_field(self, field: str) -> bool:
        """Whether it matches a field of a stream whose name it matches."""
        return fnmatchcase(field, self.field or _ALL)


def apply_selection(select: Iterable[str], streams: Mapping[str, Stream], logger: logging.Logger) -> None:
    """Select the streams and fields that the setting names, and deselect all others.

    Args:
        select: The setting.
        streams: All streams of the tap by name.
        logger: Where patterns are reported that exclude what is always read.

    Raises:
        SettingsError: A pattern matches nothing, or nothing is selected.
    """
    patterns = [_Pattern.parse(text) for text in select]
    for pattern in patterns:
        _check(pattern, streams, logger)
    if all(pattern.excludes for pattern in patterns):
        defaults = [_Pattern.parse(name) for name, stream in streams.items() if stream.selected]
        patterns = [*defaults, *patterns]
    for name, stream in streams.items():
        _select(stream, [pattern for pattern in patterns if fnmatchcase(name, pattern.stream)])
    if not any(stream.selected for stream in streams.values()):
        raise SettingsError("select excludes every stream, so nothing would be read.")


def report_overlooked(
    selected: Mapping[str, Stream],
    settings: Mapping[str, Any],
    bookmarks: Mapping[str, str],
    *,
    start_date: str | None,
    logger: logging.Logger,
) -> None:
    """Report what follows from a selection and is easily overlooked.

    Args:
        selected: The selected streams by name.
        settings: The settings of the tap.
        bookmarks: The dates of the bookmarks by stream.
        start_date: The setting in the normal form of dates.
        logger: Where it is reported.
    """
    skipping = [name for name in selected if start_date and bookmarks.get(name, start_date) < start_date]
    if skipping:
        logger.warning(
            "start_date %s is later than the bookmark of %s: rows that changed in between are not read.",
            start_date,
            ", ".join(skipping),
        )
    missing = [name for name in dict.fromkeys(settings["id_snapshots"]) if name + SNAPSHOT_SUFFIX not in selected]
    if missing:
        logger.warning(
            "id_snapshots has no effect on %s: select %s, too, to find deleted rows.",
            ", ".join(missing),
            ", ".join(name + SNAPSHOT_SUFFIX for name in missing),
        )
    whole = [name for name, stream in selected.items() if stream.replication_key is None]
    if whole and settings.get("end_date"):
        logger.warning(
            "end_date does not limit %s: they are read in full, by id, in each run. If several runs read a slice each,"
            " select them in one of these runs only.",
            ", ".join(whole),
        )


def _select(stream: Stream, patterns: Collection[_Pattern]) -> None:
    """Select a stream and its fields by the patterns that match its name."""
    fields = stream.schema["properties"]
    included = [pattern for pattern in patterns if not pattern.excludes and any(map(pattern.matches_field, fields))]
    excluded = [pattern for pattern in patterns if pattern.excludes]
    for field in fields:
        stream.metadata["properties", field].selected = any(
            pattern.matches_field(field) for pattern in included
        ) and not any(pattern.matches_field(field) for pattern in excluded)
    is_left_out = any(pattern.field in {None, _ALL} for pattern in excluded)
    stream.selected = bool(included) and not is_left_out  # last, because this makes the stream look at its fields again


def _check(pattern: _Pattern, streams: Mapping[str, Stream], logger: logging.Logger) -> None:
    """Check that a pattern matches something, as a misspelt one would leave out data, or read too much, unnoticed.

    Raises:
        SettingsError: It matches nothing.
    """
    found = [stream for name, stream in streams.items() if fnmatchcase(name, pattern.stream)]
    if not found:
        resource = pattern.stream.removesuffix(SNAPSHOT_SUFFIX)
        if resource != pattern.stream and resource in streams:
            raise SettingsError(
                f"select: {pattern.text} matches no stream. Add {resource} to id_snapshots to read its ids."
            )
        raise SettingsError(
            f"select: {pattern.text} matches no stream.{_hint(pattern.stream, streams, '')}"
            " List the streams with tap-jetti --discover."
        )
    fields = {field: stream for stream in found for field in stream.schema["properties"]}
    if pattern.field is None:
        return
    matched = [field for field in fields if pattern.matches_field(field)]
    if not matched:
        where = f"{pattern.stream}."
        raise SettingsError(
            f"select: {pattern.text} matches no field of {_streams_in_words([stream.name for stream in found])}."
            f"{_hint(pattern.field, fields, where)}"
        )
    if pattern.excludes and all(
        fields[field].metadata["properties", field].inclusion is Metadata.InclusionType.AUTOMATIC for field in matched
    ):
        logger.warning("select: %s has no effect, because keys are always read.", pattern.text)


def _hint(given: str, known: Iterable[str], prefix: str) -> str:
    """The nearest of the known names, as a sentence."""
    names = {name.lower(): name for name in known}
    near = get_close_matches(given.strip(_WILDCARDS).lower(), names, n=1)
    return f" Did you mean {prefix}{names[near[0]]}?" if near else ""


def _streams_in_words(names: list[str]) -> str:
    return f"stream {names[0]}" if len(names) == 1 else f"the {len(names)} streams that it names"
