"""The server: a page, an API and jobs over the same analysis as `emotion-llama analyze`."""
