"""`python -m emotion_llama`: the same as the command `emotion-llama`."""

from emotion_llama.cli.main import entry_point

if __name__ == "__main__":
    entry_point()
