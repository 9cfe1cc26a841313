"""Where the commands ``tap-jetti`` and ``target-jetti`` begin."""

from __future__ import annotations

import signal
import sys
from importlib import import_module
from typing import NoReturn


def tap() -> NoReturn:
    """Run ``tap-jetti``."""
    _run("tap_jetti.tap")


def target() -> NoReturn:
    """Run ``target-jetti``."""
    _run("tap_jetti.target")


def _run(module: str) -> NoReturn:
    # Importing takes half a second, in which Ctrl-C would end in a traceback; then the plug-in handles it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(import_module(module).main())
