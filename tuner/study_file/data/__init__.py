"""The data of the built-in trainer in a study file: source, split and preparation."""
