"""Methods that cover parts of the image."""
