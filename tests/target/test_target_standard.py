"""The SDK's own tests of targets, with their streams mapped to an action that takes any object."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING

import pytest
from singer_sdk.testing import get_target_test_class, target_test_streams
from singer_sdk.testing.config import SuiteConfig
from singer_sdk.testing.runners import TargetTestRunner
from target_runs import jetti, settings_for

from tap_jetti.target.target import TargetJetti

if TYPE_CHECKING:
    from collections.abc import Iterator


def _streams() -> set[str]:
    names = set()
    for path in files(target_test_streams).iterdir():
        if path.name.endswith(".singer"):
            names |= {json.loads(line).get("stream") for line in path.read_text().splitlines() if line.strip()}
    return names - {None}


class TestTargetJetti(get_target_test_class(TargetJetti, config={})):  # type: ignore[misc]
    """The SDK's tests, against a sandbox."""

    @pytest.fixture
    def runner(self) -> Iterator[TargetTestRunner]:
        """A run whose records all go to products, which takes any object that has a sku."""
        with jetti() as sandbox:
            config = settings_for(
                sandbox,
                stream_actions=dict.fromkeys(sorted(_streams()), "products"),
                stream_maps={"*": {"sku": "'any'"}},
            )
            yield TargetTestRunner(
                target_class=TargetJetti, config=config, suite_config=SuiteConfig(), parse_env_config=False
            )
