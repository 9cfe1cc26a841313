"""The message by which `jetti sync` tells its own loader that nothing was cut off."""

from __future__ import annotations

END = "END"
"""The type of the message. In `complete` it lists the streams that were read completely."""
