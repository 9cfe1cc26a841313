"""The rate limit: a leaky bucket per account, and the stores that it can be kept in."""

from __future__ import annotations

from tap_jetti.client.rate_limit.bucket import BucketStore
from tap_jetti.client.rate_limit.limiter import Permit, RateLimiter
from tap_jetti.client.rate_limit.memory import MemoryStore
from tap_jetti.client.rate_limit.stores import open_store
from tap_jetti.errors import StoreError

__all__ = ["BucketStore", "MemoryStore", "Permit", "RateLimiter", "StoreError", "open_store"]
