"""Settings as texts: what is written of them, advised on them, and explained."""
