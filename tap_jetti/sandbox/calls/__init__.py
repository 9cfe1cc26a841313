"""The write calls of the API: what each does to the rows of the account."""
