"""A function of the user in a worker."""
