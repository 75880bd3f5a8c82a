"""Helper threads of an agent."""
