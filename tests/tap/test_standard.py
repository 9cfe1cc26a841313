"""The SDK's own tests of a tap, over all streams, against a sandbox with a small company."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from singer_sdk.testing import SuiteConfig, get_tap_test_class

from runs import TOKEN, UNLIMITED
from tap_jetti.facts import resources
from tap_jetti.sandbox import Options, Sandbox
from tap_jetti.tap.tap import TapJetti

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG: dict[str, Any] = {"api_token": TOKEN, **UNLIMITED}

_Standard: Any = get_tap_test_class(
    TapJetti,
    config=CONFIG,
    suite_config=SuiteConfig(max_records_limit=20),
    # Those know neither columns of several types nor exact decimals; that records match their schema is tested anyway.
    include_stream_attribute_tests=False,
    catalog={
        "streams": [
            {
                "stream": name,
                "tap_stream_id": name,
                "schema": resources.schema(name),
                "metadata": [{"breadcrumb": [], "metadata": {"selected": True}}],
            }
            for name in resources.names()
        ]
    },
    parse_env_config=False,
)


@pytest.fixture(scope="module", autouse=True)
def _company() -> Iterator[None]:
    """A company of a few rows a resource."""
    with Sandbox(Options(scale=0.01, rate=0, extra_fields=False)) as sandbox:
        CONFIG["api_url"] = sandbox.api_url
        yield


class TestStandard(_Standard):
    """All streams pass what every Singer tap has to."""

    params = _Standard.params
