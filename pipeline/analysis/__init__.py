"""Analyses over tables, versions, runs and dead letters."""
