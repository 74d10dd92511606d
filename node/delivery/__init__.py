"""Delivering results: outbox, transports and proofs of storage."""
