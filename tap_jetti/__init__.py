"""Jetti (Onport) for Singer: a tap that loses no row and a target that drops none."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("tap-jetti")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0"
