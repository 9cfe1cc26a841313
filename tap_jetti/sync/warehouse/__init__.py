"""The loader that is built in: Singer messages into a DuckDB file, every value exactly, rows and state together."""
