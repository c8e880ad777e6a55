"""Bodies and headers that nobody thought of, through the webhook and past the parser."""
