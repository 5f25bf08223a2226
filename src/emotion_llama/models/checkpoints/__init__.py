"""Published weight files: recognised, converted to one folder, and written back."""
