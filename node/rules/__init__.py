"""The routing table: rules evaluated on series headers."""
