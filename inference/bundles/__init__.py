"""The shipped bundles, and the scripts that trained them."""
