"""The command ``jetti sync``: one process that owns the tap, the loader and the state."""
