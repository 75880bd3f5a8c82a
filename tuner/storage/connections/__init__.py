"""Connections: URLs, TLS, poolers, reconnects, sessions."""
