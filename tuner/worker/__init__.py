"""The child process that trains: one per device, without any access to the database."""
