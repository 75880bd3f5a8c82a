"""The embedded Postgres server and its folder."""
