"""The final training of each kind of objective; `table.py` lists them."""
