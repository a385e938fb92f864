"""Search over one version of a table."""
