"""The tree of errors."""

from __future__ import annotations

import re

import pytest

from tap_jetti import errors
from tap_jetti.errors import Interrupted, JettiError, message_of

CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, JettiError)]


def test_each_error_has_an_anchor_of_its_own() -> None:
    """Documents and links name it so, whatever its message becomes."""
    anchors = [kind.anchor() for kind in CLASSES]
    assert len(set(anchors)) == len(CLASSES)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", anchor) for anchor in anchors)
    assert errors.RateLimitedError.anchor() == "rate-limited"


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: str(kind.__name__))
def test_the_tree_in_the_docstring_names_each_error(kind: type[JettiError]) -> None:
    """With its exit code."""
    assert re.search(rf"\b{kind.__name__} +{kind.exit_code}\b", str(errors.__doc__))


def test_what_nothing_foresaw_is_reported_as_a_bug() -> None:
    """With the kind of the error, and how to see more."""
    assert message_of(KeyError("x")).startswith("Unexpected error: KeyError: 'x'. This is a bug")
    assert message_of(OSError(28, "No space left on device")).endswith("No space left on device.")
    assert message_of(JettiError("said")) == "said"
    assert not issubclass(Interrupted, Exception)
