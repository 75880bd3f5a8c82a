"""What a worker can train: one file per kind of objective."""
