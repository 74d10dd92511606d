"""From a site's one network to a commissioned bundle: what has to be brought, what it came to, what to do next."""
