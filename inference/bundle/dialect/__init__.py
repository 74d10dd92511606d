"""MONAI's configuration dialect, read without running anything of it."""
