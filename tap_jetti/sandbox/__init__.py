"""A Jetti that runs on your machine: the API's rules, its ambiguities and its faults.

The rest of the package never imports this one; it needs the extra ``sandbox``.
"""

from __future__ import annotations

from tap_jetti.sandbox.http.request_log import Entry, Ledger
from tap_jetti.sandbox.options import Options
from tap_jetti.sandbox.sandbox import Sandbox

__all__ = ["Entry", "Ledger", "Options", "Sandbox"]
