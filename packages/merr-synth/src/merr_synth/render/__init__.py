"""Rendered clips whose truth is known: faces from a mesh, voices of known pitch."""
