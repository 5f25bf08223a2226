"""What people decide about the samples of a build: recorded, settled, applied and counted."""
