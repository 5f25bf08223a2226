"""Decoding in child processes that a hostile file may kill, and nothing else with it."""
