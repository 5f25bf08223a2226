"""The training of nano: encoders, a language model, and what they are taught with."""
