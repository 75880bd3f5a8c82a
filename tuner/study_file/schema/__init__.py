"""The JSON Schema of study files."""
