"""Reads a resource completely, whatever changes meanwhile."""
