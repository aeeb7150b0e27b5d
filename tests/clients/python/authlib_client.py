"""Authlib: code with PKCE, refresh, client credentials, password, device, pushed requests,
revocation, and introspection, with each way to authenticate."""

from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session

from suite import (
    DEVICE_CODE,
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


def session(client="confidential", method="client_secret_basic", **more):
    known = SETTINGS[client]
    return OAuth2Session(
        known["id"],
        known.get("secret"),
        scope=more.pop("scope", SCOPE),
        redirect_uri=SETTINGS["redirect_uri"],
        token_endpoint_auth_method=method,
        code_challenge_method="S256",
        **more,
    )


def approved(client, decision="approve"):
    """The verifier, and where the server leads back to."""
    verifier = generate_token(48)
    address, state = client.create_authorization_url(
        server["authorization_endpoint"], code_verifier=verifier
    )
    back = decide(address, decision)
    check("back at the client", back.startswith(SETTINGS["redirect_uri"] + "?"), back)
    check("its state", query_of(back)["state"] == state, back)
    check("who answers (RFC 9207)", query_of(back)["iss"] == SETTINGS["issuer"], back)
    return verifier, back


def fetched(client):
    verifier, back = approved(client)
    return client.fetch_token(TOKEN, authorization_response=back, code_verifier=verifier)


def by_code():
    ways = [
        ("confidential", "client_secret_basic"),
        ("confidential", "client_secret_post"),
        ("public", "none"),
    ]
    for way in ways:
        check_pair(fetched(session(*way)))
    client = session()
    _, back = approved(client, "deny")
    check("denied", query_of(back)["error"] == "access_denied", back)
    verifier, back = approved(client)
    refused("another verifier", "invalid_grant", lambda: client.fetch_token(
        TOKEN, authorization_response=back, code_verifier=verifier[::-1]
    ))
    verifier, back = approved(client)
    token = client.fetch_token(TOKEN, authorization_response=back, code_verifier=verifier)
    refused("a code again", "invalid_grant", lambda: session().fetch_token(
        TOKEN, authorization_response=back, code_verifier=verifier
    ))
    check("what it gave has ended", status_of_api(token["access_token"]) == 401)


def by_refresh():
    for way in [("confidential", "client_secret_basic"), ("public", "none")]:
        client = session(*way)
        first = dict(fetched(client))
        second = client.refresh_token(TOKEN, refresh_token=first["refresh_token"])
        check_pair(second)
        check("another", second["refresh_token"] != first["refresh_token"])
        # The client asks by itself for a token that has expired.
        client.token = {**second, "expires_at": 1}
        client.metadata["token_endpoint"] = TOKEN
        answer = client.get(SETTINGS["api"])
        check("refreshed by itself", answer.status_code == 200, answer.text)
        check("a third", client.token["access_token"] != second["access_token"])
    refused("no refresh token", "invalid_grant", lambda: session().refresh_token(
        TOKEN, refresh_token="none"
    ))


def by_itself():
    for method in ["client_secret_basic", "client_secret_post"]:
        client = session(method=method)
        token = client.fetch_token(TOKEN, grant_type="client_credentials")
        check_pair(token, refreshed=False)
        check("the session is the API's", client.get(SETTINGS["api"]).status_code == 200)
    refused("a public client", "unauthorized_client", lambda: session("public", "none").fetch_token(
        TOKEN, grant_type="client_credentials"
    ))


def by_password():
    user = SETTINGS["user"]
    for method in ["client_secret_basic", "client_secret_post"]:
        check_pair(session(method=method).fetch_token(
            TOKEN, username=user["name"], password=user["password"]
        ))
    refused("another password", "invalid_grant", lambda: session().fetch_token(
        TOKEN, username=user["name"], password=user["password"] + "x"
    ))


def by_device():
    for way in [("confidential", "client_secret_basic"), ("public", "none")]:
        client = session(*way)
        answer = client.post(
            server["device_authorization_endpoint"],
            data={"scope": SCOPE},
            auth=client.client_auth(way[1]),
            withhold_token=True,
        ).json()
        decide(answer["verification_uri_complete"])
        check_pair(client.fetch_token(
            TOKEN, grant_type=DEVICE_CODE, device_code=answer["device_code"]
        ))
    client = session()
    answer = client.post(
        server["device_authorization_endpoint"],
        data={"scope": SCOPE},
        auth=client.client_auth("client_secret_basic"),
        withhold_token=True,
    ).json()
    poll = lambda: client.fetch_token(
        TOKEN, grant_type=DEVICE_CODE, device_code=answer["device_code"]
    )
    refused("nobody has decided", "authorization_pending", poll)
    refused("too soon", "slow_down", poll)


def by_pushed_request():
    client = session()
    verifier = generate_token(48)
    address, state = client.create_authorization_url(
        server["authorization_endpoint"], code_verifier=verifier
    )
    answer = client.post(
        server["pushed_authorization_request_endpoint"],
        data=query_of(address),
        auth=client.client_auth("client_secret_basic"),
        withhold_token=True,
    )
    check("pushed", answer.status_code == 201, answer.text)
    reference = answer.json()["request_uri"]
    back = decide(
        f"{server['authorization_endpoint']}?client_id={client.client_id}&request_uri={reference}"
    )
    check("its state", query_of(back)["state"] == state, back)
    check_pair(client.fetch_token(TOKEN, authorization_response=back, code_verifier=verifier))


def looked_at(token):
    """What a resource server is told of a token."""
    answer = session("resource_server").introspect_token(
        server["introspection_endpoint"], token=token, token_type_hint="access_token"
    )
    check("an answer", answer.status_code == 200, answer.text)
    return answer.json()


def introspection_and_revocation():
    client = session()
    if "code" in FLOWS:
        token = fetched(client)
        hint = "refresh_token" if "refresh" in FLOWS else "access_token"
    else:
        token = client.fetch_token(TOKEN, grant_type="client_credentials")
        hint = "access_token"
    told = looked_at(token["access_token"])
    check("active", told["active"] is True, told)
    check("whose", told["client_id"] == client.client_id, told)
    check("who", told.get("sub") == (SETTINGS["user"]["name"] if "code" in FLOWS else None), told)
    check("what for", sorted(told["scope"].split()) == sorted(SCOPE.split()), told)
    answer = client.revoke_token(
        server["revocation_endpoint"], token=token[hint], token_type_hint=hint
    )
    check("revoked", answer.status_code == 200, answer.text)
    check("inactive", looked_at(token["access_token"]) == {"active": False})
    check("the API is shut", status_of_api(token["access_token"]) == 401)


for flow, run in [
    ("code", by_code),
    ("refresh", by_refresh),
    ("client_credentials", by_itself),
    ("password", by_password),
    ("device", by_device),
    ("push", by_pushed_request),
]:
    if flow in FLOWS:
        run()
introspection_and_revocation()
end()
