"""requests-oauthlib on oauthlib: code with PKCE, refresh, client credentials, password, device, and
revocation. oauthlib refuses what the RFCs do not allow, and warns of scopes that have changed."""

import os

# The server is on this machine, without TLS.
os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"

from oauthlib.oauth2 import (
    BackendApplicationClient,
    DeviceClient,
    LegacyApplicationClient,
    WebApplicationClient,
)
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

from suite import (
    FLOWS,
    SCOPE,
    SETTINGS,
    check,
    check_pair,
    decide,
    end,
    metadata,
    query_of,
    refused,
    status_of_api,
)

server = metadata()
TOKEN = server["token_endpoint"]
KNOWN = SETTINGS["confidential"]
PUBLIC = SETTINGS["public"]
BASIC = HTTPBasicAuth(KNOWN["id"], KNOWN["secret"])
SCOPES = SCOPE.split()


def web(client, **more):
    return OAuth2Session(
        client["id"], redirect_uri=SETTINGS["redirect_uri"], scope=SCOPES, pkce="S256", **more
    )


def back_at(session, decision="approve"):
    address, state = session.authorization_url(server["authorization_endpoint"])
    back = decide(address, decision)
    check("its state", query_of(back)["state"] == state, back)
    return back


# How the confidential client and the public one say who they are.
WAYS = [
    (KNOWN, {"auth": BASIC}),
    (KNOWN, {"include_client_id": True, "client_secret": KNOWN["secret"]}),
    (PUBLIC, {"include_client_id": True}),
]


def by_code():
    for client, way in WAYS:
        session = web(client)
        back = back_at(session)
        check_pair(session.fetch_token(TOKEN, authorization_response=back, **way))
        check("the session is the API's", session.get(SETTINGS["api"]).status_code == 200)
    session = web(KNOWN)
    back = back_at(session, "deny")
    refused("denied", "access_denied", lambda: session.fetch_token(
        TOKEN, authorization_response=back, auth=BASIC
    ))
    session = web(KNOWN)
    back = back_at(session)
    token = session.fetch_token(TOKEN, authorization_response=back, auth=BASIC)
    refused("a code again", "invalid_grant", lambda: session.fetch_token(
        TOKEN, authorization_response=back, auth=BASIC
    ))
    check("what it gave has ended", status_of_api(token["access_token"]) == 401)


def by_refresh():
    for client, way in WAYS:
        session = web(client)
        token = session.fetch_token(TOKEN, authorization_response=back_at(session), **way)
        first = dict(token)
        if "include_client_id" in way:
            named = {name: way[name] for name in way if name != "include_client_id"}
            way = {**named, "client_id": client["id"]}
        second = dict(session.refresh_token(TOKEN, refresh_token=first["refresh_token"], **way))
        check_pair(second)
        check("another", second["refresh_token"] != first["refresh_token"])
    # One that refreshes by itself.
    saved = []
    session = OAuth2Session(
        PUBLIC["id"],
        token={**second, "expires_in": -1, "expires_at": 1},
        auto_refresh_url=TOKEN,
        auto_refresh_kwargs={"client_id": PUBLIC["id"]},
        token_updater=saved.append,
    )
    check("refreshed by itself", session.get(SETTINGS["api"]).status_code == 200)
    check("saved", len(saved) == 1)
    check_pair(saved[0])


def by_itself():
    for way in [{"auth": BASIC}, {"include_client_id": True, "client_secret": KNOWN["secret"]}]:
        client = BackendApplicationClient(client_id=KNOWN["id"], scope=SCOPES)
        session = OAuth2Session(client=client, scope=SCOPES)
        check_pair(session.fetch_token(TOKEN, **way), refreshed=False)
    bad = HTTPBasicAuth(KNOWN["id"], KNOWN["secret"] + "x")
    refused("another secret", "invalid_client", lambda: OAuth2Session(
        client=BackendApplicationClient(client_id=KNOWN["id"])
    ).fetch_token(TOKEN, auth=bad))


def by_password():
    user = SETTINGS["user"]
    fetch = lambda password: OAuth2Session(
        client=LegacyApplicationClient(client_id=KNOWN["id"]), scope=SCOPES
    ).fetch_token(TOKEN, username=user["name"], password=password, auth=BASIC)
    check_pair(fetch(user["password"]))
    refused("another password", "invalid_grant", lambda: fetch("x" + user["password"]))


def by_device():
    client = DeviceClient(PUBLIC["id"], scope=SCOPES)
    session = OAuth2Session(client=client, scope=SCOPES)
    asked = {"client_id": PUBLIC["id"], "scope": SCOPE}
    answer = session.request(
        "POST", server["device_authorization_endpoint"], data=asked, withhold_token=True
    ).json()
    check("it waits 5 s between two polls", answer["interval"] == 5, answer)
    decide(answer["verification_uri_complete"])
    check_pair(session.fetch_token(
        TOKEN, device_code=answer["device_code"], include_client_id=True
    ))


def by_revocation():
    if "code" in FLOWS:
        session = web(KNOWN)
        token = session.fetch_token(TOKEN, authorization_response=back_at(session), auth=BASIC)
    else:
        session = OAuth2Session(client=BackendApplicationClient(client_id=KNOWN["id"]))
        token = session.fetch_token(TOKEN, auth=BASIC)
    client = WebApplicationClient(KNOWN["id"], token_type_hint="access_token")
    address, fields, body = client.prepare_token_revocation_request(
        server["revocation_endpoint"], token["access_token"], token_type_hint="access_token"
    )
    answer = session.post(address, data=body, headers=fields, auth=BASIC, withhold_token=True)
    check("revoked", answer.status_code == 200, answer.text)
    check("the API is shut", status_of_api(token["access_token"]) == 401)


for flow, run in [
    ("code", by_code),
    ("refresh", by_refresh),
    ("client_credentials", by_itself),
    ("password", by_password),
    ("device", by_device),
]:
    if flow in FLOWS:
        run()
by_revocation()
end()
