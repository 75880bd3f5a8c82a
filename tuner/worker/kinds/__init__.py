"""What a worker does for each kind of objective; `table.py` has them all."""
