"""The durable study: the embedded server, connections, and every statement on its tables."""
