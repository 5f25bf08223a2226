"""Long recordings: a queue on disk that survives restarts."""
