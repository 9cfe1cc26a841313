"""A tap made from the Singer SDK's template, completed as its documentation says.

A `RESTStream`, schemas from JSON files, the documented page-number paginator, the SDK's own retries.
"""

from __future__ import annotations

import decimal
import random
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import backoff
from singer_sdk import RESTStream, SchemaDirectory, Stream, StreamSchema, Tap
from singer_sdk import typing as th
from singer_sdk.authenticators import BearerTokenAuthenticator
from singer_sdk.helpers.jsonpath import extract_jsonpath
from singer_sdk.pagination import PageNumberPaginator
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    import requests
    from singer_sdk.helpers.types import Context

SCHEMAS = SchemaDirectory(Path(__file__).parents[2] / "schemas")


class RowsPaginator(PageNumberPaginator):
    """Pages until one has fewer rows than asked for: the API does not mark the last page."""

    def __init__(self, page_size: int) -> None:
        """Begin at page 0."""
        super().__init__(start_value=0)
        self._page_size = page_size

    @override
    def has_more(self, response: requests.Response) -> bool:
        return len(response.json()) >= self._page_size


class PlainStream(RESTStream[int]):
    """The rows of one resource."""

    records_jsonpath = "$[*]"
    primary_keys = ("id",)
    replication_key = "updatedAt"
    is_sorted = True
    schema = StreamSchema(SCHEMAS)

    @override
    @property
    def url_base(self) -> str:
        return str(self.config["api_url"])

    @override
    @cached_property
    def authenticator(self) -> BearerTokenAuthenticator:
        return BearerTokenAuthenticator(token=self.config["token"])

    @override
    def get_new_paginator(self) -> RowsPaginator:
        return RowsPaginator(self.config["page_size"])

    @override
    def get_url_params(self, context: Context | None, next_page_token: int | None) -> dict[str, Any]:
        params: dict[str, Any] = {
            "limit": self.config["page_size"],
            "order[attribute]": self.replication_key,
            "from": next_page_token or 0,
        }
        start = self.get_starting_replication_key_value(context)
        if start:
            params["where[updatedAt][$gte]"] = start
        return params

    @override
    def parse_response(self, response: requests.Response) -> Iterable[dict[str, Any]]:
        yield from extract_jsonpath(self.records_jsonpath, input=response.json(parse_float=decimal.Decimal))

    # The SDK's own pauses, divided by the scale of the benchmark's clock.

    @override
    def backoff_wait_generator(self) -> Generator[float, None, None]:
        return backoff.expo(factor=2 / float(self.config["scale"]))

    @override
    def backoff_jitter(self, value: float) -> float:
        return value + random.random() / float(self.config["scale"])  # noqa: S311 - not for secrets


class TapPlain(Tap):
    """The tap."""

    name = "tap-plain"
    config_jsonschema = th.PropertiesList(
        th.Property("api_url", th.StringType, required=True),
        th.Property("token", th.StringType, required=True, secret=True),
        th.Property("streams", th.ArrayType(th.StringType), required=True),
        th.Property("page_size", th.IntegerType, required=True),
        th.Property("scale", th.NumberType, required=True),
    ).to_dict()

    @override
    def discover_streams(self) -> list[Stream]:
        return [
            type(name, (PlainStream,), {"name": name, "path": f"{name.replace('_', '-')}.json"})(self)
            for name in self.config["streams"]
        ]


if __name__ == "__main__":
    TapPlain.cli()
