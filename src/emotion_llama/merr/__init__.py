"""Builds MERR-style data sets: clips in; labels, descriptions and their provenance out, nothing lost on the way."""
