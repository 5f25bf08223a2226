"""Child processes that decode and measure clips: a hostile file costs a child and its own request, nothing else."""
