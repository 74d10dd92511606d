"""Where results go: by which protocol, and by which proof they are there."""
