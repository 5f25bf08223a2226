"""Analyses for people: an HTML page, a terminal table, and the picture of a face at its peak."""
