"""The records that all layers share, and functions of them alone."""
