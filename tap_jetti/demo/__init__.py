"""The command ``jetti demo``: a sandbox, Meltano, a DuckDB file, and a comparison of all they hold.

The rest of the package never imports this one; it needs Meltano, DuckDB and the extra ``sandbox``.
"""
