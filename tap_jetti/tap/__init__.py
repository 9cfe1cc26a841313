"""The Singer tap."""

from tap_jetti.tap.tap import TapJetti

__all__ = ["TapJetti"]
