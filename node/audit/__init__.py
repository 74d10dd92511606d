"""Audit: constancy, arming, opinions, monthly reports."""
