"""The read side: what a study has found, for people and programs."""
