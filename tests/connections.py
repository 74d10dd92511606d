"""HTTP connections of the tests: each request has its own.

A connection that is used again may have just been closed by the server, between two requests.
"""

import httpx

ONCE = httpx.Limits(max_keepalive_connections=0)
