"""Data sets: from a source to tensors in a folder that all workers of a machine share."""
