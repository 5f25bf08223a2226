"""Shared by all tests: one thread a process, so that small arrays stay fast beside other work."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
