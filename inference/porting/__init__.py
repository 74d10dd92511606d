"""How a MONAI bundle becomes one of the node's: manifest proposed, files checked, compared with MONAI, sealed."""
