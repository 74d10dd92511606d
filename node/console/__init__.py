"""The console: the same facts as the API, as pages for people."""
