"""The settings file: one file a table of the TOML."""
