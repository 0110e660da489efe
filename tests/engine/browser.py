"""What a browser does with the address that `./pipeline web` opens."""

import http.client
from urllib.parse import urlsplit


def signs_in(login: str) -> bool:
    """Open the address; return whether the answer has a cookie that scripts cannot read."""
    address = urlsplit(login)
    assert address.hostname is not None
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    try:
        connection.request("GET", f"{address.path}?{address.query}")
        cookie = connection.getresponse().headers["Set-Cookie"]
        return cookie is not None and "HttpOnly" in cookie
    finally:
        connection.close()
