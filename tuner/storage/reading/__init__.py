"""Reading a study for people."""
