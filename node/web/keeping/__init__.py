"""The page about retention: what is kept for how long, and what goes next."""
