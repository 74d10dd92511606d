"""The shortest settings file with a destination."""

MINIMAL = """
[node]
home = "home"
[http]
token_file = "token"
[[destinations]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = 104
"""
