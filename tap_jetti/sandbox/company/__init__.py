"""The company that a sandbox starts with."""
