"""The embedded Postgres server and the folder that it lives in."""
