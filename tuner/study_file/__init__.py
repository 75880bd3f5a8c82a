"""Reader of `study.yaml`."""
