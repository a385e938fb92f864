"""Where vecmill runs: settings, wiring, and the Ray engine."""
