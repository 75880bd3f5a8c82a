"""Claims, writes and reads of agents."""
