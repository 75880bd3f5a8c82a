"""What leaves a study: the best config, its final training, the report."""
