"""Where the state of a sync is kept: a file, any URL that fsspec supports, Redis, PostgreSQL, or a DuckDB file."""
