"""The sandbox's HTTP side: requests, limits, faults, answers."""
