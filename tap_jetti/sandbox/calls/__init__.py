"""What each write call of the API does to the sandbox's rows."""
