"""What vecmill does, as a library: no Prefect, no Ray, no environment."""
