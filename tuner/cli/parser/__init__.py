"""All commands and their arguments; loads nothing that a help page does not need."""
