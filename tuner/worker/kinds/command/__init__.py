"""A program of the user in a worker."""
