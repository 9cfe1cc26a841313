"""What this machine remembers of an account: what Jetti showed (the mirror) and what was sent (the ledger)."""
