"""Prefect tasks: a thin wrapper for each stage."""
