"""From a study to what is shipped: the best config and its final training."""
