"""The worker processes of a machine."""
