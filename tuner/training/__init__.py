"""Training of groups of trials: a leaf that knows no study and no database."""
