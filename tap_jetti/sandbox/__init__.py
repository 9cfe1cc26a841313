"""A simulated Jetti on this machine: the API's rules, its ambiguities and its faults.

Of the package it imports `tap_jetti.facts` only; it needs the extra ``sandbox``.
"""

from __future__ import annotations

from tap_jetti.sandbox.http.request_log import LoggedRequest, RequestLog
from tap_jetti.sandbox.options import Options
from tap_jetti.sandbox.sandbox import Sandbox

__all__ = ["LoggedRequest", "Options", "RequestLog", "Sandbox"]
