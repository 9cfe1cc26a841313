"""The HTTP side of the sandbox: server, routing, rate limit, faults and the request log."""
