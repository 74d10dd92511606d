"""From an association to a durable instance."""
