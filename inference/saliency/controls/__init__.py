"""Controls that every method is compared with."""
