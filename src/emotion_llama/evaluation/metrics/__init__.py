"""Metrics as pure functions on arrays and lists, without files (but for the wheels) and without models."""
