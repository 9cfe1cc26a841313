from __future__ import annotations

import json
import subprocess
import sys

import duckdb
import pytest

from tap_jetti.demo.comparison import compare
from tap_jetti.sandbox import Options, Sandbox


def load(warehouse, messages):
    """Load Singer messages with the loader's command."""
    config = warehouse.with_suffix(".json")
    config.write_text(json.dumps({"path": str(warehouse)}), "utf-8")
    command = [sys.executable, "-m", "tap_jetti.sync.warehouse", "--config", str(config)]
    done = subprocess.run(command, check=False, capture_output=True, input=messages, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def extracted(tmp_path_factory):
    """A sandbox and the Singer messages of its sales."""
    folder = tmp_path_factory.mktemp("extracted")
    with Sandbox(Options(scale=0.01, rate=0, decimals="mixed")) as sandbox:
        config = {"api_url": sandbox.api_url, "api_token": sandbox.token, "rate_limit_store": "memory://"}
        (folder / "config.json").write_text(json.dumps({**config, "rate_limit": 1000}), "utf-8")
        program = "from tap_jetti.cli import tap; tap()"
        command = [sys.executable, "-c", program, "--config", str(folder / "config.json")]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
        lines = done.stdout.splitlines(keepends=True)
        yield sandbox, "".join(line for line in lines if json.loads(line).get("stream") == "sales")


@pytest.mark.parametrize(
    ("damage", "wrong", "is_equal"),
    [
        pytest.param("SELECT 1", 0, True, id="nothing"),
        pytest.param("DELETE FROM sales WHERE id = 1", 1, False, id="a row lost"),
        pytest.param("INSERT INTO sales (id) VALUES (1000000)", 1, False, id="a row too many"),
        pytest.param("UPDATE sales SET total = total + 0.01 WHERE id = 1", 1, False, id="a cent"),
        pytest.param("UPDATE sales SET \"updatedAt\" = '2001-01-01' WHERE id <= 2", 2, False, id="old rows"),
        pytest.param("DROP TABLE sales", 30, False, id="no table"),
    ],
)
def test_comparison_finds_what_differs(extracted, tmp_path, damage, wrong, is_equal):
    """The demo's comparison counts each row that is missing, added or changed in the warehouse."""
    sandbox, messages = extracted
    load(tmp_path / "w.duckdb", messages)
    with duckdb.connect(str(tmp_path / "w.duckdb")) as database:
        database.execute(damage)

    (sales,) = compare(sandbox, tmp_path / "w.duckdb", ["sales"], since=0.0, changed={})

    assert (sales.wrong, sales.is_equal, sales.in_jetti) == (wrong, is_equal, 30)
    assert sales.requests
