"""Backup while the node runs, verified; restore elsewhere; and recovery of what came after it, from the peers."""
