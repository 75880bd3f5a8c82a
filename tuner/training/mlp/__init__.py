"""The built-in multilayer perceptron."""
