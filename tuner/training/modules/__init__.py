"""Custom torch modules as lanes of a stack."""
