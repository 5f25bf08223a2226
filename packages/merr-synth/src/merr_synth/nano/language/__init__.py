"""A small language model of one's own: its texts, tokenizer and pre-training, before it sees or hears anything."""
