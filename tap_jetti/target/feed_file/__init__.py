"""The inventory as a file that Jetti fetches."""
