"""The command ``jetti demo``: syncs a sandbox into DuckDB through Meltano and compares both, value by value.

It needs Meltano, DuckDB and the extra ``sandbox``. No other part of the package imports it.
"""
