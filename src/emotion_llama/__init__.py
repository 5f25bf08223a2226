"""A video of people goes in; who feels what, how sure, on which evidence, and why, comes out."""

from __future__ import annotations

__version__ = "0.1.0.dev0"
