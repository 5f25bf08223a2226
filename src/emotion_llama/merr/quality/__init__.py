"""How good a build is, measured without references; and the texts, lexicons and modalities that this looks at."""
