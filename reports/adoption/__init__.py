"""What adopting a network came to, as a page."""
