"""Faces: found, followed, aligned and measured."""
