"""What a model is trained and asked with: features of clips, computed or published, and where they are kept."""
