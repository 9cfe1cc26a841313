"""Responses to reads: a page of rows, one row, a count."""

# ruff: noqa: S608 - table names come from the schemas and parameters are bound

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tap_jetti.sandbox.data import conditions, documents, includes, models
from tap_jetti.sandbox.data.deviations import Deviations
from tap_jetti.sandbox.http import brackets
from tap_jetti.sandbox.http.problems import Problem, Response, as_json

if TYPE_CHECKING:
    import random

    from tap_jetti.sandbox.data.database import Database
    from tap_jetti.sandbox.options import Options

_DEFAULT_ORDER = "(id * 7919) % 10007, id"
"""The order without ``order``: it looks arbitrary, as the API documents none, and is repeatable."""


@dataclass
class Reader:
    """Responds to the reads of one account."""

    database: Database
    options: Options
    random: random.Random
    _deviations: Deviations = field(init=False)

    def __post_init__(self) -> None:
        """Begin without a page given."""
        self._deviations = Deviations(self.options, self.random)

    def page(self, resource: str, query: Mapping[str, Any]) -> Response:
        """The response to ``GET /{resource}.json``: a bare array of rows.

        Raises:
            Problem: The query is invalid.
        """
        size = self._deviations.page_size(resource, self._limit(query))
        condition, values = self._condition(resource, query)
        start = _integer(query, "from", 0) * {"page": size, "offset": 1, "nothing": 0}[self.options.from_means]
        self.database.ensure(resource)
        found = self.database.fetch(
            f'SELECT body FROM "{resource}" WHERE {condition} '
            f"ORDER BY {self._order(resource, query, condition)} LIMIT ? OFFSET ?",
            [*values, size, start],
        )
        texts = self._deviations.cut([text for (text,) in found])
        return Response(200, self._array(resource, texts, query).encode())

    def one(self, resource: str, row_id: int, query: Mapping[str, Any]) -> Response:
        """The response to ``GET /{resource}/{id}.json``: one object.

        Raises:
            Problem: There is no such row.
        """
        row = self.database.row(resource, row_id)
        if row is None:
            raise not_found(resource, row_id)
        return Response(200, self._array(resource, [row.body], query)[1:-1].encode())

    def count(self, resource: str, query: Mapping[str, Any]) -> Response:
        """The response to ``GET /{resource}/count.json``.

        Raises:
            Problem: The resource has no count, or the query is invalid.
        """
        having = {"all": True, "none": False, "purchases": resource == "purchases"}
        if not having[self.options.count]:
            raise Problem(404, "api.route.missing", f"{resource} has no count.")
        condition, values = self._condition(resource, query)
        self.database.ensure(resource)
        found = self.database.fetch(
            f'SELECT COUNT(*) FROM "{resource}" WHERE {condition}',
            values,
        )
        return as_json({"count": self._deviations.count(f"{resource} {condition} {values}", found[0][0])})

    def _limit(self, query: Mapping[str, Any]) -> int:
        limit = _integer(query, "limit", self.options.default_limit)
        if 0 < self.options.refuse_limit < limit:
            status = int(self.options.refuse_limit_status)
            raise Problem(status, "api.query.limit.invalid", f"limit must be {self.options.refuse_limit} at most.")
        return limit or self.options.default_limit

    def _condition(self, resource: str, query: Mapping[str, Any]) -> conditions.Sql:
        built = conditions.build(self.database, resource, query.get("where"))
        return ("1", []) if self.options.ignore_filter else built

    def _order(self, resource: str, query: Mapping[str, Any], condition: str) -> str:
        order = query.get("order")
        if order is None or self.options.ignore_order:
            return _DEFAULT_ORDER
        if not isinstance(order, Mapping) or not isinstance(order.get("attribute"), str):
            raise Problem(400, "api.query.order.invalid", "order needs an attribute.")
        column = conditions.column(resource, order["attribute"])
        # The server takes any text as true, even "false".
        direction = "DESC" if "descending" in order and not self.options.ignore_descending else "ASC"
        nulls = ""
        if self._has_nulls(resource, column, condition):
            nulls = "NULLS FIRST" if "nullsFirst" in order else "NULLS LAST"
        ties = "random()" if self.options.unstable_ties else "id"
        return f"{column} {direction} {nulls}, {ties}"

    def _has_nulls(self, resource: str, column: str, condition: str) -> bool:
        """Whether a column can be null in the result; if not, SQLite can sort by its index."""
        if column == "id" or f"({column} >= ?)" in condition or f"({column} <= ?)" in condition:
            return False
        self.database.ensure(resource)
        return bool(self.database.fetch(f'SELECT 1 FROM "{resource}" WHERE {column} IS NULL LIMIT 1'))

    def _array(self, resource: str, texts: list[str], query: Mapping[str, Any]) -> str:
        """A JSON array of stored texts, decoded only if the query or the options need it."""
        attributes = self._attributes(resource, query.get("attributes"))
        wanted = includes.parse(query.get("include"), self._attributes, self.options)
        if attributes is None and not wanted and not documents.is_rendered_differently(self.options):
            return f"[{','.join(texts)}]"
        rows = [documents.render(resource, text, self.options) for text in texts]
        rows = includes.attach(self.database, self.options, resource, rows, attributes=attributes, wanted=wanted)
        return json.dumps(rows, separators=(",", ":"))

    def _attributes(self, resource: str, value: object) -> list[str] | None:
        """The attributes that a query wants, or None for all."""
        if value is None:
            return None
        try:
            names = brackets.as_list(value)
        except ValueError:
            raise Problem(400, "api.query.attributes.invalid", "attributes must be a list.") from None
        if self.options.refuse_attributes == "always":
            raise Problem(400, "api.query.attributes.refused", "attributes are not supported.")
        for name in names:
            conditions.column(resource, str(name))
        return names


def not_found(resource: str, row_id: int) -> Problem:
    """The response for a row that does not exist."""
    return Problem(404, f"api.{resource}.missing", f"{models.model(resource)} {row_id} not found.")


def _integer(query: Mapping[str, Any], name: str, default: int) -> int:
    value = query.get(name)
    if value in (None, ""):
        return default
    if not isinstance(value, str) or not value.isdecimal():
        raise Problem(400, f"api.query.{name}.invalid", f"{name} must be a number.")
    return int(value)
