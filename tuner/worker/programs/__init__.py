"""Programs that a worker starts and follows."""
