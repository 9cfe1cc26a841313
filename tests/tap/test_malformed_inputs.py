"""Settings, catalogs and states that are malformed in any way are one line, or do no harm: never a traceback."""

from __future__ import annotations

import contextlib
import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from runs import EXAMPLES, Output, Stdout, catalog_of, config_for
from tap_jetti.client.clock import VirtualClock
from tap_jetti.errors import JettiError
from tap_jetti.sandbox import Options, Sandbox
from tap_jetti.tap.tap import TapJetti

if TYPE_CHECKING:
    from collections.abc import Iterator

DATE = "2020-01-02T00:00:00.000Z"
WORDS = (
    "", " ", "0", "true", "null", "auto", "sales", "sales.*", "!sales", "updatedAt", "id", "FULL_TABLE", "2020-01-01",
    "9999-12-31T23:59:59.999Z", "0001-01-01T00:00:00Z", "1e400", "NaN", "-1", "\0", "é", "a" * 300,
    "{", "[1",
)  # fmt: skip
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, -1, 2, 7, 64, 65, 10**9, 10**30, -(10**30), 0.5, 1e300, -1e300, 1e-300]),
    st.sampled_from([float("nan"), float("inf"), float("-inf")]),
    st.sampled_from(WORDS),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)

NEVER_CHANGED = {"api_token", "api_url", "allow_http", "rate_limit_store", "batch_config", "summary_path"}
"""Settings that decide which server is asked, or which files are written."""

NAMES = sorted(TapJetti.full_schema()["properties"].keys() - NEVER_CHANGED)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox with three sales and three invoices."""
    with Sandbox(Options(empty=True, rate=0)) as started:
        for resource in ("sales", "sale_invoices"):
            started.replace(resource, [{"id": n, "updatedAt": f"2020-01-0{n}T00:00:00Z"} for n in range(1, 4)])
        yield started


def run(config: dict[str, Any], catalog: Any = None, state: Any = None) -> tuple[int, Output]:
    """Run the tap with what a file could hold. Anything but an error of the tap is raised."""
    stdout, code, message = Stdout(), 0, ""
    clock: Any = VirtualClock(wall=1.7e9)
    with contextlib.redirect_stdout(stdout):
        try:
            TapJetti(config=config, catalog=catalog, state=state, clock=clock).run()
        except JettiError as error:
            code, message = error.exit_code, str(error)
        except SystemExit as end:
            code = int(end.code or 0)
    note(message)
    return code, Output(stdout.getvalue().split("\n")[:-1], code=code)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to all values in a JSON value."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def changed(data: st.DataObject, value: Any) -> Any:
    """A JSON value with some of its parts removed, replaced, renamed or doubled."""
    value = copy.deepcopy(value)
    for _ in range(data.draw(st.integers(1, 3), "changes")):
        path = data.draw(st.sampled_from(list(places(value))), "place")
        if not path:
            continue
        parent = value
        for key in path[:-1]:
            parent = parent[key]
        key = path[-1]
        way = data.draw(st.sampled_from(["replace", "replace", "remove", "rename", "double"]), "way")
        if way == "replace":
            parent[key] = data.draw(VALUES, "value")
        elif way == "remove":
            del parent[key]
        elif way == "rename" and isinstance(parent, dict):
            parent[data.draw(st.sampled_from(WORDS), "name")] = parent.pop(key)
        elif way == "double" and isinstance(parent, list):
            parent.append(copy.deepcopy(parent[key]))
    return value


def small_catalog() -> dict[str, Any]:
    """A catalog of two streams with few fields, so that a change hits what matters."""
    catalog = catalog_of("sales", "sale_invoices")
    for entry in catalog["streams"]:
        kept = {"id", "updatedAt", "tags", "notes"}
        fields = entry["schema"]["properties"]
        entry["schema"]["properties"] = {name: fields[name] for name in fields if name in kept}
        entry["metadata"] = [one for one in entry["metadata"] if not one["breadcrumb"] or one["breadcrumb"][1] in kept]
    return json.loads(json.dumps(catalog))  # type: ignore[no-any-return]


CATALOG = small_catalog()
FACTS = "server_profile"
STATES: list[Any] = [
    {"bookmarks": {"sales": {"replication_key": "updatedAt", "replication_key_value": DATE}}},
    {"type": "STATE", "value": {"bookmarks": {"sales": {"updatedAt": DATE}}}},
    {"completed": {"singer_state": {"bookmarks": {"sales": DATE}}}, "partial": {}},
    {"sales": {"replication_key_value": DATE, "server_profile": {
        "largest_page": 3, "is_capped": False, "proven_at": DATE, "is_counted": True, "cut_at": None,
        "last_instant": DATE, "last_ids": [2], "refused_page_size": 400, "refused_at": DATE,
    }}},
]  # fmt: skip


@settings(max_examples=60 * EXAMPLES)
@given(data=st.data())
def test_settings(sandbox: Sandbox, data: st.DataObject) -> None:
    """Any value of any setting is taken or refused."""
    config = config_for(sandbox, select=["sales"], concurrency=1)
    for name in data.draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True), "names"):
        config[name] = data.draw(VALUES, name)
    code, _ = run(config)
    assert code in {0, 78}


@settings(max_examples=60 * EXAMPLES)
@given(data=st.data())
def test_catalogs(sandbox: Sandbox, data: st.DataObject) -> None:
    """A catalog that is changed anywhere is taken or refused, and what leaves has its key and fits its SCHEMA."""
    code, output = run(config_for(sandbox, concurrency=1), catalog=changed(data, CATALOG))
    assert code in {0, 78}
    columns = {message["stream"]: message["schema"]["properties"].keys() for message in output.of("SCHEMA")}
    for message in output.of("RECORD"):
        assert {"id"} <= message["record"].keys() <= columns[message["stream"]]


@settings(max_examples=60 * EXAMPLES)
@given(data=st.data())
def test_states(sandbox: Sandbox, data: st.DataObject) -> None:
    """A state that is changed anywhere is taken or refused; while it holds a date of sales, they are not read anew."""
    state = changed(data, data.draw(st.sampled_from(STATES), "state"))
    code, output = run(config_for(sandbox, concurrency=1, select=["sales"]), state=state)
    assert code in {0, 78}
    if output.ids("sales")[:1] == [1]:
        assert not any(at(state, path) == DATE for path in places(state) if "sales" in path and FACTS not in path)


def at(value: Any, path: tuple[Any, ...]) -> Any:
    """What is at a place of a JSON value."""
    for key in path:
        value = value[key]
    return value
