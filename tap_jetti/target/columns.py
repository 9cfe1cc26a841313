"""Which field each column of a stream means, decided once per column; and records with their fields' own names."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from tap_jetti.errors import RecordError
from tap_jetti.facts.json_codec import decode_json, is_too_deep
from tap_jetti.facts.kinds import types_of
from tap_jetti.target.name_matching import folded, near, nearest, shown_name, without_invisible
from tap_jetti.target.shown_values import shown_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

IGNORED_FIELDS = frozenset({"companyId", "createdAt", "updatedAt"})
"""Fields that Jetti sets itself. Every action knows them and leaves them out."""

DELETION_MARKS = frozenset({"_sdc_deleted_at", "_ab_cdc_deleted_at", "_fivetran_deleted"})
"""Columns that are set in a row that the source has deleted."""

_IGNORED = "_ignored:"
"""What the name of a column that is not sent begins with after renaming: actions leave out what begins with ``_``."""

_LOADERS_PREFIXES = ("_sdc_", "_ab_", "_airbyte_", "_dlt_", "_fivetran_", "_unmapped", _IGNORED)
"""How the columns begin that taps and loaders add."""

_MOST_HINTS = 3
"""Unknown columns that a message about a record names."""

Record = dict[str, Any]


@dataclass(frozen=True)
class FieldNames:
    """The fields that the records of an action, or the objects within them, can have.

    Attributes:
        known: Their names.
        objects: Those of them that hold an object or an array, and what is within.
        is_open: Whether other fields are sent, too.
        resource: The resource whose secret fields no message shows.
        ignored: Fields that are known and left out.
        finds_near: Whether a name that is close to a known one is taken for a misspelling of it.
    """

    known: frozenset[str]
    objects: Mapping[str, NestedFields] = field(default_factory=dict)
    is_open: bool = False
    resource: str = ""
    ignored: frozenset[str] = IGNORED_FIELDS
    finds_near: bool = True

    @classmethod
    def of_schema(
        cls,
        schema: Mapping[str, Any],
        *,
        more: Iterable[str] = (),
        is_open: bool = False,
        resource: str = "",
        ignored: frozenset[str] = IGNORED_FIELDS,
    ) -> FieldNames:
        """Return the fields that a JSON Schema lists.

        Args:
            schema: The schema of an object.
            more: Further fields.
            is_open: Whether other fields are sent, too.
            resource: The resource whose secret fields no message shows.
            ignored: Fields that are known and left out.
        """
        properties: Mapping[str, Any] = schema.get("properties", {})
        objects = {
            name: NestedFields.of_property(facts, is_open=is_open, resource=resource)
            for name, facts in properties.items()
            if types_of(facts) and types_of(facts) <= {"array", "object"}
        }
        return cls(frozenset(properties) | frozenset(more), objects, is_open, resource, ignored)

    @cached_property
    def by_folded_name(self) -> Mapping[str, tuple[str, ...]]:
        """The fields by the form that all spellings of a name share."""
        found: defaultdict[str, tuple[str, ...]] = defaultdict(tuple)
        for name in sorted(self.known | self.ignored):
            found[folded(name)] += (name,)
        return dict(found)

    @cached_property
    def writable(self) -> tuple[str, ...]:
        """The fields that a column may be meant to be, sorted."""
        return tuple(sorted(self.known - self.ignored))


@dataclass(frozen=True)
class NestedFields:
    """A field that holds an object or an array.

    Attributes:
        kind: ``array``, ``object``, or both words with "or" between them.
        types: The Python types of its values.
        names: The fields of the object, or of each object in the array; None if they are not known.
    """

    kind: str
    types: tuple[type, ...]
    names: FieldNames | None

    @classmethod
    def of_property(cls, facts: Mapping[str, Any], *, is_open: bool, resource: str) -> NestedFields:
        """Return what a property of a JSON Schema holds."""
        kinds = sorted(types_of(facts))
        inner = facts if facts.get("properties") else facts.get("items") or {}
        names = None
        if inner.get("properties"):
            names = FieldNames.of_schema(inner, is_open=is_open, resource=resource, ignored=frozenset())
        types = tuple({"array": list, "object": dict}[kind] for kind in kinds)
        return cls(" or ".join(f"an {kind}" for kind in kinds), types, names)


class Columns:
    """Gives the fields of records their own names, whatever their columns are called.

    A column means the field with its name, or else the only one with its name in another case or with underscores
    elsewhere. Each column is looked at once; a record whose columns have the names of fields is not even copied.

    Args:
        names: The fields.
        columns: The columns that the SCHEMA lists. Records may have others.
        refuse_unknown: Whether a record with a column that means no field is rejected.
        warn: Called once with the columns of the SCHEMA, and with each later one, that mean no field.
        path: What the names of nested fields begin with in messages.
    """

    def __init__(
        self,
        names: FieldNames,
        columns: Iterable[str] = (),
        *,
        refuse_unknown: bool = False,
        warn: Callable[[list[str]], None] = lambda _: None,
        path: str = "",
    ) -> None:
        self._names = names
        self._refuse_unknown = refuse_unknown
        self._warn = warn
        self._path = path
        self._fields: dict[str, str] = {}
        self._own: frozenset[str] = frozenset()
        self._faults: dict[str, RecordError] = {}
        self._nested: dict[str, tuple[NestedFields, Columns | None]] = {}
        self.deletion_marks: tuple[str, ...] = ()
        """The columns that are set in a deleted row."""
        self._unknown: set[str] = set()
        self._learn(columns)

    def field_of(self, column: str) -> str:
        """Return the field that a column means; the column itself if it means none."""
        self._learn([column])
        found = self._fields[column]
        return column if found.startswith(_IGNORED) else found

    def shared(self) -> tuple[str, str, str] | None:
        """Return a field that two of the columns mean, and these columns; None if there is none."""
        columns: dict[str, str] = {}
        for column, name in self._fields.items():
            if columns.setdefault(name, column) != column:
                return (self._path + name, columns[name], column)
        return None

    def read(self, record: Record) -> Record:
        """Return a record with the names of its fields, and with JSON text parsed where a field is nested.

        Args:
            record: It is not changed.

        Raises:
            RecordError: A column is probably misspelt, two of them mean one field, or a text is not JSON.
        """
        found = record if self._own.issuperset(record) else self._renamed(record)
        return self._with_objects(found) if self._nested else found

    def is_deleted(self, record: Record) -> bool:
        """Whether the source has deleted the row of a record that `read` returned."""
        return any(_is_set(record.get(mark)) for mark in self.deletion_marks)

    def column_of(self, name: str, record: Record) -> str:
        """Return the column in which a record has a field; the name of the field if it has none."""
        return next((column for column in record if self._fields.get(column) == name), name)

    def hint(self, record: Record) -> str:
        """Return what to say of a record in which something is missing: its unknown columns, and the nearest names."""
        unknown = [column for column in record if column in self._unknown]
        return "".join(
            f"; {self._path}{shown_name(column)} {self._nearest(column)}" for column in unknown[:_MOST_HINTS]
        )

    def _nearest(self, column: str) -> str:
        found = nearest(folded(without_invisible(column)), self._names.writable)
        return f"is unknown, the nearest known name is {self._path}{found}"

    def _renamed(self, record: Record) -> Record:
        fields = self._fields
        try:
            renamed = {fields[column]: value for column, value in record.items()}
        except KeyError:
            self._learn(record)
            renamed = {fields[column]: value for column, value in record.items()}
        if self._faults:
            for fault in filter(None, map(self._faults.get, record)):
                raise RecordError(fault.title, fault.detail)
        if len(renamed) != len(record):
            self._reject_shared(record)
        if self._path:  # within another object nobody leaves them out
            return {name: value for name, value in renamed.items() if not name.startswith(_IGNORED)}
        return renamed

    def _reject_shared(self, record: Record) -> None:
        columns: dict[str, str] = {}
        for column in record:
            name = self._fields[column]
            first = columns.setdefault(name, column)
            if first != column:
                raise RecordError("column.ambiguous", _both(self._path + name, first, column))

    def _with_objects(self, record: Record) -> Record:
        found = record
        for name, (nested, columns) in self._nested.items():
            value = record.get(name)
            if value is None:
                continue
            parsed = self._parsed(name, value, nested) if type(value) is str else value
            if columns is not None:
                parsed = _read_within(parsed, columns)
            if parsed is not value:
                found = {**found, name: parsed}
        return found

    def _parsed(self, name: str, text: str, nested: NestedFields) -> Any:  # noqa: ANN401 - any JSON
        """What the JSON in a text is, as a warehouse exports nested columns; a blank text stays as it is."""
        if not text.strip():
            return text
        if text.strip() == "null":
            return None
        try:
            found = decode_json(text.encode("utf-8", "surrogatepass"))
        except (msgspec.DecodeError, RecursionError):
            found = None
        if not isinstance(found, nested.types) or is_too_deep(found):
            shown = shown_value(self._names.resource, name, text)
            raise RecordError(
                f"{name}.invalid", f"{self._path}{name} must be {nested.kind} or its JSON text, not {shown}"
            )
        return found

    def _learn(self, columns: Iterable[str]) -> None:
        """Decide what new columns mean."""
        unknown = []
        for column in columns:
            if column not in self._fields:
                self._fields[column] = self._decide(column)
                if column in self._unknown:
                    unknown.append(column)
        self._own = frozenset(
            column
            for column, name in self._fields.items()
            if column == name and column not in self._faults and column not in DELETION_MARKS
        )
        if unknown and not self._refuse_unknown:
            self._warn([f"{self._path}{shown_name(column)}" for column in unknown])

    def _decide(self, column: str) -> str:
        """Return the field that a column means, and note what is wrong with it."""
        names = self._names
        if column in names.known or column in names.ignored:
            return self._found(column)
        name = without_invisible(column)
        if name.lower() in DELETION_MARKS:
            self.deletion_marks += (name.lower(),)
            return name.lower()
        if name.lower().startswith(_LOADERS_PREFIXES):
            return _IGNORED + column
        form = folded(name)
        fields = names.by_folded_name.get(form, ()) if not name.startswith("_") else ()
        if len(fields) == 1 and fields[0] not in names.ignored:
            return self._found(fields[0])
        if len(fields) > 1:
            self._fault(column, "ambiguous", f"means {' or '.join(fields)}; use one of these names")
        if fields:
            return _IGNORED + column
        return self._decide_unknown(column, form)

    def _decide_unknown(self, column: str, form: str) -> str:
        names = self._names
        similar = near(form, names.writable) if names.finds_near else None
        if similar and not (names.is_open and _is_plural(form, folded(similar))):
            self._fault(column, "unknown", f"is unknown; did you mean {self._path}{similar}?", ascii_only=True)
        elif names.is_open and (self._path or not column.startswith("_")):
            return column
        else:
            self._unknown.add(column)
            if self._refuse_unknown:
                self._fault(column, "unknown", f"{self._nearest(column)} (unknown_fields is error)")
        return _IGNORED + column

    def _found(self, name: str) -> str:
        if name in self._names.objects and name not in self._nested:
            nested = self._names.objects[name]
            columns = None
            if nested.names is not None:
                columns = Columns(
                    nested.names,
                    refuse_unknown=self._refuse_unknown,
                    warn=self._warn,
                    path=f"{self._path}{name}.",
                )
            self._nested[name] = (nested, columns)
        return name

    def _fault(self, column: str, title: str, detail: str, *, ascii_only: bool = False) -> None:
        shown = self._path + shown_name(column, ascii_only=ascii_only)
        self._faults[column] = RecordError(f"column.{title}", f"{shown} {detail}")


def two_columns(names: tuple[str, str, str]) -> str:
    """Say which two columns mean one field, as `Columns.shared` returns them."""
    return _both(*names)


def _both(name: str, first: str, second: str) -> str:
    return f"the columns {shown_name(first)} and {shown_name(second)} both mean {name}; leave one of them out"


def _read_within(value: Any, columns: Columns) -> Any:  # noqa: ANN401 - any JSON
    """An object, or each object of an array, with the names of its fields; anything else stays as it is."""
    if isinstance(value, dict):
        return columns.read(value)
    if isinstance(value, list):
        found = [columns.read(item) if isinstance(item, dict) else item for item in value]
        return found if any(new is not old for new, old in zip(found, value, strict=True)) else value
    return value


def _is_set(mark: object) -> bool:
    return mark.strip().lower() not in {"", "false", "0", "null"} if isinstance(mark, str) else bool(mark)


def _is_plural(form: str, other: str) -> bool:
    return form == f"{other}s" or other == f"{form}s"
