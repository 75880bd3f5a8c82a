"""`study.yaml` and what it means."""
