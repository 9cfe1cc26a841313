"""The sandbox's rows: how they are stored, queried and shown."""
