"""The list of studies: one line each, found, filtered and sorted by addresses."""
