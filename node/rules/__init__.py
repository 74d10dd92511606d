"""The routing table: series headers held against rules."""
