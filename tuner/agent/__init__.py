"""The process that runs a machine's part of a study: no torch, the only one at the database."""
