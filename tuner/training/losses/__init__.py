"""Losses and metrics, built in and custom."""
