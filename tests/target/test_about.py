"""What the command says about itself."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from jsonschema import Draft202012Validator
from singer_sdk.singerlib.json import deserialize_json

from tap_jetti.target.actions import ACTIONS
from tap_jetti.target.actions.about import describe_actions
from tap_jetti.target.target import TargetJetti


@pytest.mark.parametrize("name", ACTIONS)
def test_every_action_has_a_schema_and_says_what_it_does(name: str) -> None:
    """The schema is valid, open to other fields, and names what identifies a record."""
    action = describe_actions()[name]
    Draft202012Validator.check_schema(action["record"])
    assert action["record"].get("additionalProperties", True) is True
    assert action["record"].get("required") or action["record"].get("anyOf")
    assert action["title"]


@pytest.mark.parametrize("form", [None, "markdown", "json"])
def test_about_lists_the_actions(form: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    """In every format; as JSON with the schema of each."""
    TargetJetti.print_about(form)
    text = capsys.readouterr().out
    assert all(name in text for name in ACTIONS)
    assert all(field in text for action in ACTIONS.values() for field in action.record_schema()["properties"])
    if form == "json":
        assert deserialize_json(text)["actions"]["shipments"]["record"]["required"] == ["purchaseId", "trackingNumber"]


def test_settings_are_those_of_the_design() -> None:
    """No setting of the SDK's sinks is offered: there are none."""
    about = json.loads(json.dumps(TargetJetti.config_jsonschema))
    assert (
        not {"load_method", "batch_size_rows", "add_record_metadata", "validate_records"} & about["properties"].keys()
    )


def test_a_wrong_setting_is_one_line_and_exit_code_78() -> None:
    """Without a traceback, and the setting is named."""
    command = [sys.executable, "-c", "from tap_jetti.cli import target; target()"]
    found = subprocess.run(command, input="", capture_output=True, text=True, check=False)
    assert found.returncode == 78
    assert "api_token is missing" in found.stderr
    assert "Traceback" not in found.stderr
