"""The read side: facts about studies, for people and programs."""
