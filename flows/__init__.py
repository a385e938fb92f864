"""What a schedule, a person or the dashboard starts."""
