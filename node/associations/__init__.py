"""Associations: access control, limits on peers, and the record of refusals."""
