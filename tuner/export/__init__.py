"""What leaves tuner: files made of a study."""
