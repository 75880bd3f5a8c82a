"""The final training of each kind of objective; `table.py` has them all."""
