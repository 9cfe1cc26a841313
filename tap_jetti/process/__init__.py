"""How a command runs and ends: settings, standard output, signals, exit codes."""
