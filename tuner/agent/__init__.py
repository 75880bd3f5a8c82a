"""The agent process of a machine: it loads no torch and alone talks to the database."""
