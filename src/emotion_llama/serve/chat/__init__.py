"""Questions about a clip in the form of OpenAI's chat completions."""
