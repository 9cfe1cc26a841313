"""Values that do not fit their schema become null, are kept, or fail the stream, as the user chose; all are counted."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from runs import catalog_of, config_for, run_here, select_only

if TYPE_CHECKING:
    from collections.abc import Callable

    from runs import Output
    from tap_jetti.sandbox import Sandbox

DAY = "2020-01-01T00:00:00.000Z"
INVALID: dict[str, Any] = {
    "total": "1,234.50",
    "quantity": "1_2",
    "dateOrdered": "20223-10-09T00:00:00.000Z",
    "reference": "a\0b",
    "cancelled": "maybe",
    "tags": {"a": 1},
    "dropshipProblems": {"a": "\0"},
}
"""An invalid value of each kind."""


@pytest.fixture(autouse=True)
def _logged(caplog: pytest.LogCaptureFixture) -> None:
    """Capture what the run logs for information, too."""
    caplog.set_level("INFO")


@pytest.fixture
def sandbox(sandboxes: Callable[..., Sandbox]) -> Sandbox:
    """A sandbox with 300 sales, of which every hundredth has invalid values."""
    made = sandboxes()
    made.replace(
        "sales",
        [
            {"id": n, "updatedAt": f"2020-01-01T00:0{n // 60}:{n % 60:02}Z", "notes": "x"}
            | (INVALID if n % 100 == 0 else {})
            for n in range(1, 301)
        ],
    )
    return made


def run(sandbox: Sandbox, **settings: Any) -> Output:
    """Read the sales."""
    return run_here(config_for(sandbox, page_size=40, **settings), streams=("sales",))


def lines_about(field: str, caplog: pytest.LogCaptureFixture, level: str) -> list[str]:
    """The log lines of a level that name a field."""
    return [
        entry.getMessage()
        for entry in caplog.records
        if entry.levelname == level and f" {field}," in entry.getMessage()
    ]


def test_an_invalid_value_becomes_null(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    """By default it is null, the row leaves, and each field is named once, with its id, its reason and the value."""
    output = run(sandbox)
    assert output.code == 0
    assert output.ids("sales") == list(range(1, 301))
    for record in output.records():
        assert {record.get(field) for field in INVALID} == {None}
        assert record["notes"] == "x"
    for field in INVALID:
        (warning,) = lines_about(field, caplog, "WARNING")
        assert warning.startswith(f"Stream sales has invalid values in {field}, written as null. The first: ")
        assert "(id 100)" in warning
        (counted,) = lines_about(field, caplog, "INFO")
        assert counted.startswith(f"Stream sales: 3 invalid in {field}, written as null: ")
        assert re.findall(r"\(id (\d+)\)", counted) == ["100", "200", "300"]
    (closing,) = (entry.getMessage() for entry in caplog.records if "stream=sales outcome" in entry.getMessage())
    assert closing.endswith(f" invalid_values={3 * len(INVALID)}")


def test_originals_are_kept_where_undocumented_fields_are(sandbox: Sandbox) -> None:
    """With unknown_fields keep, the originals stand under _unmapped, and NUL is spelt in a way that databases take."""
    output = run(sandbox, unknown_fields="keep")
    for record in output.records():
        kept = {**INVALID, "reference": r"a\u0000b", "dropshipProblems": {"a": r"\u0000"}}
        assert record.get("_unmapped") == (kept if record["id"] % 100 == 0 else None)
        assert {record.get(field) for field in INVALID} == {None}


def test_an_invalid_value_can_be_kept(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    """With keep it is written as it is, and counted all the same."""
    output = run(sandbox, invalid_values="keep")
    assert output.code == 0
    for record in output.records():
        assert {field: record.get(field) for field in INVALID} == (
            INVALID if record["id"] % 100 == 0 else dict.fromkeys(INVALID)
        )
    assert len(lines_about("total", caplog, "WARNING")) == 1
    assert f"invalid_values={3 * len(INVALID)}" in caplog.text


@pytest.mark.parametrize("unknown_fields", ["warn", "keep"])
def test_an_invalid_value_can_fail_the_stream(
    unknown_fields: str, sandboxes: Callable[..., Sandbox], caplog: pytest.LogCaptureFixture
) -> None:
    """With fail the stream ends there, the error names field, id and value, and the other streams go on."""
    sandbox = sandboxes()
    sandbox.replace("sales", [{"id": 7, "updatedAt": DAY, "total": "1,234.50"}])
    sandbox.replace("vendors", [{"id": 1, "updatedAt": DAY}])
    config = config_for(sandbox, invalid_values="fail", unknown_fields=unknown_fields)
    output = run_here(config, streams=("sales", "vendors"))
    assert output.code == 1
    assert output.ids("sales") == []
    assert output.ids("vendors") == [1]
    assert output.bookmark("sales") is None
    assert 'Stream sales has an invalid value in total (id 7): not a number, got "1,234.50".' in caplog.text


@pytest.mark.parametrize("policy", ["null", "keep", "fail"])
@pytest.mark.parametrize("row", [{"id": "1_2"}, {"id": 2**63}, {"updatedAt": "20223-10-09"}, {"updatedAt": "a\0b"}])
def test_keys_are_never_replaced(
    policy: str, row: dict[str, Any], sandboxes: Callable[..., Sandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An invalid id or updatedAt fails the stream, whatever invalid_values says."""
    sandbox = sandboxes()
    sandbox.replace("sales", [{"id": 1, "updatedAt": DAY}])
    tamper(sandbox, row, monkeypatch)
    output = run_here(config_for(sandbox, invalid_values=policy, retry_seconds=0), streams=("sales",))
    assert output.code == 1
    assert output.records() == []


def tamper(sandbox: Sandbox, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server's pages of sales hold other values in these fields."""
    reader = sandbox._application._routes._reader
    real = reader.page

    def page(resource: str, query: Any) -> Any:
        answer = real(resource, query)
        if resource != "sales":
            return answer
        return type(answer)(200, json.dumps([{**row, **fields} for row in json.loads(answer.body)]).encode())

    monkeypatch.setattr(reader, "page", page)


def test_the_log_shows_five_values_and_no_password(
    sandboxes: Callable[..., Sandbox], caplog: pytest.LogCaptureFixture
) -> None:
    """At most five values per field are in the log, each cut, masked and without control characters."""
    sandbox = sandboxes()
    url = "ftp://user:hidden-word@host/"
    rows = [{"id": n, "updatedAt": DAY, "total": f"{url}\x1b[31m{n}{'x' * 100}"} for n in range(1, 21)]
    sandbox.replace("sales", rows)
    run_here(config_for(sandbox), streams=("sales",))
    (counted,) = lines_about("total", caplog, "INFO")
    assert counted.startswith("Stream sales: 20 invalid in total")
    assert counted.count("ftp://***@host/") == 5
    assert counted.endswith(", ….")
    assert len(counted) < 500
    assert "hidden-word" not in caplog.text
    assert "\x1b" not in caplog.text


def test_numbers_in_an_array_of_texts_are_said(
    sandboxes: Callable[..., Sandbox], caplog: pytest.LogCaptureFixture
) -> None:
    """They become text, because the schema promises text, with one warning that names the field."""
    sandbox = sandboxes()
    sandbox.replace("sales", [{"id": n, "updatedAt": DAY, "tags": [n, "a", 1.5]} for n in range(1, 31)])
    output = run_here(config_for(sandbox), streams=("sales",))
    assert [record["tags"] for record in output.records()] == [[str(n), "a", "1.5"] for n in range(1, 31)]
    assert caplog.text.count("Stream sales has numbers in the array tags.") == 1


def test_a_deselected_field_is_not_checked(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    """A value that does not leave is not reported either."""
    catalog = select_only(catalog_of("sales"), "sales", {"id", "updatedAt", "notes"})
    output = run_here(config_for(sandbox), catalog=catalog)
    assert len(output.ids("sales")) == 300
    assert "invalid" not in caplog.text


@pytest.mark.parametrize("number", ["1e999999999", "1e99999999999999999999", "-1e999999999"])
def test_a_huge_exponent_is_refused_at_once(
    number: str,
    sandboxes: Callable[..., Sandbox],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is never expanded: not in an integer, not in a number, not in text."""
    sandbox = sandboxes()
    sandbox.replace("sales", [{"id": 1, "updatedAt": DAY, "total": 777, "quantity": 777, "notes": 777, "tags": [777]}])
    reader = sandbox._application._routes._reader
    real = reader.page

    def page(resource: str, query: Any) -> Any:
        answer = real(resource, query)
        return type(answer)(200, answer.body.replace(b"777", number.encode()))

    monkeypatch.setattr(reader, "page", page)
    (record,) = run_here(config_for(sandbox), streams=("sales",)).records()
    assert record["total"] is None
    assert record["quantity"] is None
    assert isinstance(record["notes"], str)
    assert "number out of range" in caplog.text
