"""Changes to a study that users request: each command is one short transaction."""
