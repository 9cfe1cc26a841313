"""How a record travels: received, compared, batched, sent, confirmed or set aside, and only then STATE."""
