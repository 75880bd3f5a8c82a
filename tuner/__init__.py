"""tuner: hyperparameter optimization on your own machines.

Importing the package loads nothing else; the command line is in `tuner.cli`, the recipe in
`tuner.run_study`, and the architecture is explained in the README beside this file.
"""
