"""Console pages, REST API and access."""
