"""The worker's part of each kind of objective; `table.py` lists them."""
