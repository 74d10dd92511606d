"""Who calls: tokens, sessions, proxy headers."""
