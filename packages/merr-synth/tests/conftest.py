"""Shared by all tests: one thread a process; evidence made by hand; a toy model with data to train it on."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

pytest_plugins = ["made_evidence", "toy_folder", "toy_training"]
