"""`tuner agent`: one machine that works on all studies of a database."""
