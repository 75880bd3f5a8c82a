"""tuner: hyperparameter optimization on your own GPU machines."""
