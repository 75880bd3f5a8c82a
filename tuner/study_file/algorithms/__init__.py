"""Samplers and pruners with their settings."""
