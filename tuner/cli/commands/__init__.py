"""The commands: each parses nothing, calls one function and prints."""
