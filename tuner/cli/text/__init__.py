"""Records as text and as JSON."""
