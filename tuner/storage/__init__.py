"""The durable study: the embedded server, the connection and every statement on its tables."""
