"""How `jetti sync` starts the tap: its settings, its state, and whose account it reads."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tap_jetti.errors import SettingsError
from tap_jetti.facts.redaction import Redactor
from tap_jetti.process.command import read_object
from tap_jetti.process.settings_gate import read_environment
from tap_jetti.sync.children import own_python

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ENVIRONMENT = "ENV"
"""The value of --config that stands for variables of the environment."""

_PREFIX = "TAP_JETTI_"
_READ_HERE: dict[str, Any] = {"properties": {"api_token": {}, "account": {}, "summary_path": {}, "progress": {}}}


class TapRun:
    """The command of the tap and its environment.

    Args:
        configs: The values of --config: files, or ENV.
        select: What to read, as the setting `select`; None: what the settings say.
        folder: A folder for files that the tap reads and writes.

    Raises:
        SettingsError: A file cannot be read.
    """

    def __init__(self, configs: Sequence[str], *, select: Sequence[str] | None, folder: Path) -> None:
        self._configs = tuple(configs)
        self._folder = folder
        given = _settings(configs)
        self.is_progress_shown = given.get("progress") != "never"
        self.redactor = Redactor([str(given.get("api_token") or "")])
        identity = str(given.get("account") or "").strip() or str(given.get("api_token") or "").strip()
        self.owner = hashlib.sha256(f"state of {identity}".encode()).hexdigest()[:16]
        self._extra: dict[str, Any] = {} if select is None else {"select": list(select)}
        self._summary = Path(str(given.get("summary_path") or folder / "summary.json")).expanduser()
        if not given.get("summary_path"):
            self._extra["summary_path"] = str(self._summary)

    def command(self, state: Mapping[str, Any] | None) -> list[str]:
        """The command of the tap, with this state."""
        arguments = [argument for config in self._configs for argument in ("--config", config)]
        if ENVIRONMENT not in self._configs:
            arguments += ["--config", self._file("settings.json", self._extra)]
        if state:
            arguments += ["--state", self._file("state.json", state)]
        return own_python("tap_jetti.sync.tap_child", *arguments)

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of the tap."""
        extra = self._extra if ENVIRONMENT in self._configs else {}
        settings = {
            _PREFIX + name.upper(): value if isinstance(value, str) else json.dumps(value)
            for name, value in extra.items()
        }
        return {**os.environ, **settings, **more}

    def summary(self) -> dict[str, Any] | None:
        """What the tap says of its run; None if it was killed before it could."""
        try:
            found = json.loads(self._summary.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def _file(self, name: str, content: Mapping[str, Any]) -> str:
        path = self._folder / name
        path.write_text(json.dumps(content), encoding="utf-8")
        return str(path)


def _settings(configs: Sequence[str]) -> dict[str, Any]:
    """The settings as the tap will read them, unchecked: later files win, and the environment over all."""
    settings: dict[str, Any] = {}
    for config in configs:
        if config != ENVIRONMENT:
            try:
                with Path(config).open(encoding="utf-8") as file:
                    settings |= read_object(file, "config")
            except (OSError, UnicodeError) as error:
                raise SettingsError(f"Cannot read the config file {config}: {error}.") from error
    if ENVIRONMENT in configs:
        settings |= read_environment(_READ_HERE, _PREFIX)
    return settings
