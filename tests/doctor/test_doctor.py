"""What `jetti doctor` says of servers that differ from each other in one thing."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from runs import config_for
from tap_jetti.cli import main
from tap_jetti.doctor.check import NAMES
from tap_jetti.facts.timestamps import from_epoch
from tap_jetti.sandbox import Options, Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROWS = 150
DAY = 86_400

Report = dict[str, dict[str, Any]]


@pytest.fixture
def examined(tmp_path: Path) -> Callable[..., tuple[int, Report]]:
    """Runs the doctor with settings, and returns its exit code and the checks by name."""

    def run(sandbox: Sandbox, **settings: Any) -> tuple[int, Report]:
        config = tmp_path / "config.json"
        config.write_text(json.dumps(config_for(sandbox, **settings)), encoding="utf-8")
        result = CliRunner().invoke(main, ["doctor", "--json", "--config", str(config)])
        assert "Traceback" not in result.output
        report = json.loads(result.stdout)
        assert [check["name"] for check in report["checks"]] == list(NAMES)
        assert report["exit_code"] == result.exit_code
        return result.exit_code, {check["name"]: check for check in report["checks"]}

    return run


def fill(sandbox: Sandbox) -> Sandbox:
    """Rows of all resources that the doctor looks at, in an order of dates that is not that of ids."""
    first = time.time() - 30 * DAY
    for name in ("sales", "purchases", "products", "variants", "dropship_providers", "channels"):
        rows = [
            {"id": number + 1, "companyId": 7, "updatedAt": from_epoch(first + number * 7919 % ROWS * 60)}
            for number in range(ROWS)
        ]
        rows[0] |= {"displayName": "not documented"} if name == "sales" else {}
        sandbox.replace(name, rows)
    sandbox.replace("inventory_feeds", [{"id": 1, "resourceType": "webhook", "hash": "abc", "companyId": 7}])
    return sandbox


DIFFERENCES: list[Any] = [
    pytest.param({}, {}, id="nothing"),
    pytest.param({"token": "another"}, dict.fromkeys(NAMES, "unknown") | {"token": "broken"}, id="wrong token"),
    pytest.param({"forbidden": ("products",)}, {"permissions": "broken"}, id="forbidden"),
    pytest.param({"missing": ("channels",)}, {"permissions": "broken"}, id="missing"),
    pytest.param({"ignore_filter": True}, {"filter": "broken"}, id="filter ignored"),
    pytest.param({"ignore_order": True}, {"order": "broken"}, id="order ignored"),
    pytest.param({"page_cap": 20}, {"page_cap": "differs"}, id="small pages"),
    pytest.param({"page_cap": 1000}, {"page_cap": "ok"}, id="any page"),
    pytest.param({"refuse_limit": 100}, {"page_cap": "differs"}, id="limit refused"),
    pytest.param({"refuse_limit": 99}, {"page_cap": "differs"}, id="limit of 100 refused"),
    pytest.param(
        {"refuse_limit": 100, "refuse_limit_status": "500"}, {"page_cap": "differs"}, id="limit refused with 500"
    ),
    pytest.param({"from_means": "offset"}, {"from": "ok"}, id="from counts rows"),
    pytest.param({"refuse_attributes": "many"}, {}, id="lists with large indices refused"),
    pytest.param({"refuse_long_url": 1000}, {"attributes": "differs"}, id="long lists refused"),
    pytest.param({"refuse_attributes": "always"}, {"attributes": "differs"}, id="lists refused"),
    pytest.param({"count": "purchases"}, {"count": "differs"}, id="purchases alone counted"),
    pytest.param({"count": "none"}, {"count": "differs"}, id="nothing counted"),
    pytest.param({"rate_limit_headers": "x-ratelimit"}, {"rate_headers": "ok"}, id="rate limit headers"),
    pytest.param({"rate_limit_headers": "daily-quota"}, {"rate_headers": "ok"}, id="a daily quota"),
    pytest.param({"rate_limit_headers": "garbage"}, {"rate_headers": "differs"}, id="unknown headers"),
    pytest.param({"date_skew": 3600}, {"clock": "differs"}, id="Date ahead"),
    pytest.param({"clock_skew": -3600}, {"clock": "differs"}, id="server behind"),
    pytest.param({"date_header": False}, {"clock": "differs"}, id="no Date"),
    pytest.param({"extra_fields": True}, {"unknown_fields": "differs"}, id="undocumented fields"),
]


@pytest.mark.parametrize(("options", "expected"), DIFFERENCES)
def test_one_difference_changes_one_line(
    sandboxes: Callable[..., Sandbox],
    examined: Callable[..., tuple[int, Report]],
    options: dict[str, Any],
    expected: dict[str, str],
) -> None:
    """The line of a check changes with the server's behaviour, and no other line does."""
    usual = {"extra_fields": False, "unstable_ties": False}
    _, before = examined(fill(sandboxes(**usual)))
    assert {check["verdict"] for check in before.values()} == {"ok"}
    sandbox = fill(sandboxes(**{**usual, **options}))
    code, after = examined(sandbox, api_token="sandbox-token")
    assert {name: after[name]["verdict"] for name in NAMES if after[name] != before[name]} == expected
    assert bool(code) == ("broken" in expected.values())
    assert all(entry.method == "GET" for entry in sandbox.requests)
    assert len(sandbox.requests) <= 20


@pytest.mark.parametrize(
    ("options", "code"),
    [
        pytest.param({"token": "another"}, 77, id="wrong token"),
        pytest.param({"forbidden": ("sales",)}, 77, id="forbidden"),
        pytest.param({"ignore_filter": True}, 1, id="filter ignored"),
        pytest.param({"faults": 1.0, "fault_kinds": ("503",)}, 75, id="server down"),
    ],
)
def test_exit_codes(
    sandboxes: Callable[..., Sandbox],
    examined: Callable[..., tuple[int, Report]],
    options: dict[str, Any],
    code: int,
) -> None:
    """The exit code says what a retry can do."""
    found, _ = examined(fill(sandboxes(**options)), api_token="sandbox-token", retry_seconds=0)
    assert found == code


def test_a_host_that_cannot_be_reached(
    sandboxes: Callable[..., Sandbox], examined: Callable[..., tuple[int, Report]]
) -> None:
    """One line is broken, which names the failure; a retry may help."""
    code, checks = examined(sandboxes(), api_url="http://127.0.0.1:9/api/", retry_seconds=0)
    assert code == 75
    assert checks["token"]["verdict"] == "broken"
    assert "127.0.0.1" in checks["token"]["detail"] or "connect" in checks["token"]["found"].lower()


def test_an_empty_account_is_not_called_good(
    sandboxes: Callable[..., Sandbox], examined: Callable[..., tuple[int, Report]]
) -> None:
    """What no row shows is unknown, neither ok nor broken."""
    code, checks = examined(sandboxes())
    assert code == 0
    unknown = {name for name, check in checks.items() if check["verdict"] == "unknown"}
    assert unknown == {"filter", "order", "page_cap", "from", "attributes", "count", "inbound_hash"}


def test_feeds_without_a_hash(sandboxes: Callable[..., Sandbox], examined: Callable[..., tuple[int, Report]]) -> None:
    """The line says which setting is needed, and the hashes of others are not shown."""
    sandbox = fill(sandboxes(extra_fields=False))
    hashes = [None, "s3cret-hash"]
    feeds = [{"id": number, "resourceType": "webhook", "hash": hash_} for number, hash_ in enumerate(hashes, start=1)]
    sandbox.replace("inventory_feeds", feeds)
    _, checks = examined(sandbox)
    assert checks["inbound_hash"]["verdict"] == "differs"
    assert "inventory_feed_hash" in checks["inbound_hash"]["detail"]
    assert "s3cret-hash" not in json.dumps(checks)


@pytest.mark.parametrize(
    ("setting", "verdict", "code"), [("keep", "ok", 0), ("warn", "differs", 0), ("error", "broken", 1)]
)
def test_unknown_fields_by_setting(
    sandboxes: Callable[..., Sandbox],
    examined: Callable[..., tuple[int, Report]],
    setting: str,
    verdict: str,
    code: int,
) -> None:
    """What an undocumented field means depends on `unknown_fields`."""
    found, checks = examined(fill(sandboxes(extra_fields=True)), unknown_fields=setting)
    assert (checks["unknown_fields"]["verdict"], found) == (verdict, code)


def test_the_table_names_the_company(sandboxes: Callable[..., Sandbox], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --config the environment is read; the table ends with what to set `account` to."""
    for name, value in config_for(fill(sandboxes())).items():
        monkeypatch.setenv(f"TAP_JETTI_{name.upper()}", str(value))
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 0
    assert "company 7" in result.output
    assert "set account to company-7" in result.output
    assert "\x1b[" not in result.output
    assert [line.split()[0] for line in result.output.splitlines()[2:] if line[:1].isalpha()][: len(NAMES)] == list(
        NAMES
    )


def test_the_documented_limit_is_kept(examined: Callable[..., tuple[int, Report]]) -> None:
    """At two GETs per second a friendly server refuses none of them."""
    with Sandbox(Options(scale=0.05)) as sandbox:
        code, _ = examined(sandbox, rate_limit=2, rate_limit_burst=2)
        assert code == 0
        assert {entry.status for entry in sandbox.requests} == {200}
        assert len(sandbox.requests) <= 20
