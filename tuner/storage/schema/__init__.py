"""The two schemas: migrations, roles, backup."""
