"""Rendered clips whose truth is known, and the training of the small model nano on them."""
