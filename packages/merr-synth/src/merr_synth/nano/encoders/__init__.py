"""Encoders of a small model trained from scratch on rendered clips, whose truth is known at every frame."""
