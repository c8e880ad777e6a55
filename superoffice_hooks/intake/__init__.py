"""The only writers: from a request to rows."""
