"""Reactions of an agent to events, by the kind of event."""
