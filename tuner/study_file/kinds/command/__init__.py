"""`objective: {command: [...]}`: a program of the user that trains one trial."""
