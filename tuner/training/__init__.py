"""Training of groups of trials, without a database and without an agent."""
