"""The Singer target."""

from tap_jetti.target.target import TargetJetti

__all__ = ["TargetJetti"]
