"""What the settings file is made of, what is wrong with one, and the folder that they name."""
