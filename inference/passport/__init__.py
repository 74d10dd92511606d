"""The passport that commissioning writes for one bundle at one site."""
