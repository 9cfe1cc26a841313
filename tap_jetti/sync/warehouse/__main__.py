#!/usr/bin/env python3
"""Runs the loader: ``python -m tap_jetti.sync.warehouse --path jetti.duckdb``."""

from __future__ import annotations

from tap_jetti.sync.warehouse.loader import main

if __name__ == "__main__":
    main()
