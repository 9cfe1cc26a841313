"""HTTP to Jetti: the session, its hosts, the rate limit, retries and errors."""
