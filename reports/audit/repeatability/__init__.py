"""Repeatability of maps: pairs, replays, repeat examinations, statistics."""
