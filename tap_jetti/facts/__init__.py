"""What is known without asking Jetti: its resources, their fields, and how values are written."""
