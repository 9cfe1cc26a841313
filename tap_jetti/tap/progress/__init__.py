"""Shows the progress of a run: live on a terminal, or in the log."""
