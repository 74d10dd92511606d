"""Who is asking over HTTP, and what they may do."""
