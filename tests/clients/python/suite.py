"""What the clients in Python share: what the driver says, the count of checks, and the browser.

The driver (`../main.rs`) puts all it has made into one environment variable, as JSON. It is also
the browser: it follows an address through the pages, as a person who signs in and decides.
"""

import json
import os
from urllib.parse import parse_qsl, urlsplit

import requests

SETTINGS = json.loads(os.environ["GRANTKEEP_CLIENTS"])
FLOWS = SETTINGS["flows"]
SCOPE = SETTINGS["scope"]
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"

passed = 0


def check(what, holds, seen=None):
    """Counts a check that holds, and ends with one that does not."""
    global passed
    if not holds:
        raise SystemExit(f"failed: {what}: {seen!r}")
    passed += 1


def refused(what, error, call):
    """Checks that the library raises an error whose code is this."""
    try:
        answer = call()
    except Exception as raised:
        check(what, getattr(raised, "error", None) == error, raised)
    else:
        check(what, False, answer)


def decide(address, decision="approve"):
    """Where the pages lead somebody who signs in and decides so."""
    asked = {"url": address, "decision": decision}
    answer = requests.get(f"{SETTINGS['browser']}/decide", params=asked, timeout=30)
    check("the pages lead on", answer.status_code == 200, answer.text)
    return answer.text


def query_of(address):
    return dict(parse_qsl(urlsplit(address).query))


def metadata():
    """What the server says of itself: RFC 8414."""
    address = f"{SETTINGS['issuer']}/.well-known/oauth-authorization-server"
    answer = requests.get(address, timeout=30)
    check("there is metadata", answer.status_code == 200, answer.status_code)
    told = answer.json()
    check("the issuer is the server's", told["issuer"] == SETTINGS["issuer"], told)
    return told


def status_of_api(token):
    """What the protected API answers to a token."""
    fields = {"Authorization": f"Bearer {token}"}
    return requests.get(SETTINGS["api"], headers=fields, timeout=30).status_code


def check_pair(token, refreshed="refresh" in FLOWS):
    """Checks what is issued for a person."""
    check("the type", token["token_type"] == SETTINGS["token_type"], token)
    check("the lifetime", token["expires_in"] == SETTINGS["expires_in"], token)
    check("a refresh token", ("refresh_token" in token) == refreshed, token)
    check("the API opens", status_of_api(token["access_token"]) == 200)


def end():
    print(f"{passed} checks passed")
