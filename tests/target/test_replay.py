"""The rejects file says exactly what came in, so that feeding it back in tries the same again."""

from __future__ import annotations

import contextlib
import io
import json
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from odd_server import odd_server
from target_runs import VARIANTS, rejects, settings_for

from tap_jetti.facts.secret_fields import is_secret, mask_deep
from tap_jetti.target.target import TargetJetti

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NUMBER = st.one_of(
    st.integers(-(10**30), 10**30), st.decimals(allow_nan=False, allow_infinity=False, places=6).map(str).map(Decimal)
)
VALUE = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBER, TEXT, st.just("2024-02-29T23:59:60.123456+05:30")),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=8,
)
NAME = TEXT.filter(lambda name: name != "externalId" and not is_secret(VARIANTS, name))  # secrets are withheld
PLAIN = VALUE.filter(lambda value: mask_deep(value) == value)  # so are credentials in a URL
RECORDS = st.lists(st.dictionaries(NAME, PLAIN, max_size=5), max_size=5)


def encode(value: Any) -> str:
    """JSON with exact decimals."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{encode(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(encode, value)) + "]"
    return json.dumps(value)


def set_aside(lines: str, path: Path) -> list[Any]:
    """The records that a run sets aside, all of them for want of a key."""
    with odd_server() as odd:
        config = settings_for(odd, on_reject="set_aside", rejects_path=str(path), skip_unchanged=False)
        with contextlib.suppress(SystemExit):
            TargetJetti(config=config).run(io.StringIO(lines))
        assert odd.calls == []
    return [
        json.loads(line, parse_float=Decimal)["record"]
        for line in path.read_text(encoding="utf-8").split("\n")[:-1]
        if json.loads(line)["type"] == "RECORD"
    ]


@settings(max_examples=30)
@given(RECORDS)
def test_what_was_set_aside_is_what_came(records: list[dict[str, Any]]) -> None:
    """Numbers to their last digit, dates, unicode, nested values and nulls; also after a second round."""
    schema = {"type": "SCHEMA", "stream": VARIANTS, "schema": {"properties": {"externalId": {}}}, "key_properties": []}
    lines = "".join(
        encode(one) + "\n"
        for one in [schema, *({"type": "RECORD", "stream": VARIANTS, "record": one} for one in records)]
    )
    with TemporaryDirectory() as directory:
        first, second = Path(directory, "first"), Path(directory, "second")
        assert set_aside(lines, first) == records
        assert set_aside(first.read_text(encoding="utf-8"), second) == records
        if records:
            assert rejects(first)[0] == schema
