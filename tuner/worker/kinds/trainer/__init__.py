"""The built-in trainer in a worker."""
