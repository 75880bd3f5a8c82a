"""Trained models: their file, their card, their test."""
