"""HTTP to Jetti: sessions, the rate limit, retries, errors and complete reads."""
