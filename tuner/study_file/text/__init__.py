"""The text of a study file: YAML with positions, located faults, items with readers."""
