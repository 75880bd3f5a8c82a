"""Live web pages of studies: rendered by the server, figures of `results`, a stream of changes."""
