"""What the literature measures of a saliency method, one criterion a file."""
