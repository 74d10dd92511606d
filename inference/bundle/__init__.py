"""A bundle: manifest, MONAI configuration, weights and seal."""
