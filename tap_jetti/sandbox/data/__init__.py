"""The rows of the sandbox: how they are stored, queried, returned and changed."""
