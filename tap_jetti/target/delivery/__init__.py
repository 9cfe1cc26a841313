"""The engine of the target: receives, compares, batches, sends, confirms and rejects; it knows no action."""
