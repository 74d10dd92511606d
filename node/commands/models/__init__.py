"""Commands that bring a model to a site: companions, commissioning, and both as one."""
