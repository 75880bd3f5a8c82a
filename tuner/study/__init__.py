"""The records that all layers share, and what follows from them alone."""
