"""A toy model in a folder, shared with the tests of merr-synth."""

from toy_folder import toy_model

__all__ = ["toy_model"]
