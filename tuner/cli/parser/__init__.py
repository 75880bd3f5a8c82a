"""All commands and their arguments; loads only modules that a help page needs."""
