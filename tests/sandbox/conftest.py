"""Clients of a sandbox, through real HTTP."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
import requests

from tap_jetti.sandbox import Options, Sandbox


class Client:
    """A sandbox and a session with its token."""

    def __init__(self, sandbox, session):
        self.sandbox = sandbox
        self.session = session
        session.headers["Authorization"] = f"Bearer {sandbox.token}"

    def request(self, method, path, body=None, **named):
        """The response of one call of the API."""
        return self.session.request(
            method, self.sandbox.api_url + path, json=body, timeout=10, allow_redirects=False, **named
        )

    def get(self, path, **named):
        """The response of a GET."""
        return self.request("GET", path, **named)

    def read(self, path):
        """The JSON of a GET that must succeed."""
        response = self.get(path)
        assert response.status_code == 200, response.text
        return response.json()

    def ids(self, query, resource="sales"):
        """The ids of a page."""
        return [row["id"] for row in self.read(f"{resource}.json?{query}")]

    def write(self, method, path, body):
        """The JSON of a write that must succeed."""
        response = self.request(method, path, body)
        assert response.status_code == 200, response.text
        return response.json()

    def inbound(self, method, path, body, secret):
        """The response of one call of the inbound host."""
        return self.session.request(
            method, self.sandbox.inbound_url + path, json=body, headers={"jetti-webhook-hash": secret}, timeout=10
        )


@pytest.fixture
def start():
    """Start sandboxes, each with a client; all stop at the end of the test."""
    with ExitStack() as stack:

        def start(**options):
            sandbox = stack.enter_context(Sandbox(Options(**{"rate": 0, "empty": True, **options})))
            return Client(sandbox, stack.enter_context(requests.Session()))

        yield start
