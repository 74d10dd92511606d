"""Methods that follow the gradient of the class score."""
