"""What an agent does when something happens, by the kind of event."""
