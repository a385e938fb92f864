"""The store: one URI, a folder or object storage, that holds all that is kept."""
