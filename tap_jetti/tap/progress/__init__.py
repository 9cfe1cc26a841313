"""Shows how far a run is: on a terminal, or in the log."""
