"""Readers against a sandbox, through real HTTP."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone

import pytest

from tap_jetti.client.clock import SystemClock
from tap_jetti.client.keyset import FullRead, IncrementalRead
from tap_jetti.client.page import PageSource, Projection, ServerTraits, decode_objects
from tap_jetti.client.rate_limit import MemoryStore, RateLimiter
from tap_jetti.client.readahead import Plan, Readahead
from tap_jetti.client.session import JettiSession
from tap_jetti.sandbox import Options, Sandbox

LOGGER = logging.getLogger("tests.client")
EPOCH = datetime(2020, 1, 1, tzinfo=timezone.utc)


def made_rows(offsets, first_id=1):
    """Rows whose updatedAt lie so many microseconds after 2020."""
    return [
        {"id": number, "updatedAt": (EPOCH + timedelta(microseconds=offset)).isoformat().replace("+00:00", "Z")}
        for number, offset in enumerate(offsets, first_id)
    ]


class Account:
    """A sandbox, and reads of it with what `concurrency` says."""

    def __init__(self, sandbox, stack):
        self.sandbox = sandbox
        self._stack = stack
        self.clock = SystemClock()
        self.ahead = None

    def session(self, **options):
        """A session of its own."""
        limiter = RateLimiter(MemoryStore(self.clock), rate=10_000, burst=10_000, clock=self.clock)
        session = JettiSession(
            api_url=self.sandbox.api_url,
            token=self.sandbox.token,
            limiter=limiter,
            clock=self.clock,
            **{"retry_seconds": 30, "logger": LOGGER, **options},
        )
        self._stack.callback(session.close)
        return session

    def plan(self, resource, traits, *, full=False, start=None, page_size=100, verify_counts=True):
        """How a resource is read."""

        def reader(source, upper):
            if full:
                return FullRead(source, verify_counts=verify_counts, logger=LOGGER)
            return IncrementalRead(
                source,
                start=start,
                end=None,
                bookmark_lag=0,
                verify_counts=verify_counts,
                clock=self.clock,
                logger=LOGGER,
                upper=upper,
            )

        def pages_from(session, decode):
            return PageSource(
                session,
                resource,
                page_size=page_size,
                projection=Projection(),
                traits=traits,
                logger=LOGGER,
                decode=decode,
            )

        return Plan(pages_from, reader)

    def serial(self, *resources, **shape):
        """The pages of each resource, read by one reader after another."""
        traits, session = ServerTraits(), self.session()
        return [self._read(self.plan(name, traits, **shape), session) for name in resources]

    def together(self, *resources, session=None, ahead=None, **shape):
        """The pages of each resource, with reading ahead whatever the latency."""
        traits = ServerTraits()
        self.ahead = Readahead(
            session or self.session(),
            **{"concurrency": 8, "clock": self.clock, "logger": LOGGER, "least_latency": 0, **(ahead or {})},
        )
        plans = [self.plan(name, traits, **shape) for name in resources]
        self.ahead.follow(plans)
        try:
            return [self._read(plan) for plan in plans]
        finally:
            self.ahead.close()

    def _read(self, plan, session=None):
        if session:
            source, upper = plan.pages_from(session, decode_objects), None
        else:
            source, upper = self.ahead.open(plan, decode_objects)
        reader = plan.reader(source, upper)
        pages = [page.rows for page in reader.pages()]
        return pages, getattr(reader, "final_bookmark", None)


@pytest.fixture
def account():
    """Starts sandboxes that end with the test."""
    with ExitStack() as stack:

        def start(resources=None, **options):
            sandbox = Sandbox(Options(**{"rate": 0, "empty": True, "latency": 0.005, "extra_fields": False, **options}))
            for name, rows in (resources or {}).items():
                sandbox.replace(name, rows)
            return Account(stack.enter_context(sandbox), stack)

        yield start
