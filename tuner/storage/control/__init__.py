"""Changes to a study that people ask for: each command is one short transaction."""
