"""Checkpoints outside the database: in a folder, or in a bucket of S3 or Google."""
