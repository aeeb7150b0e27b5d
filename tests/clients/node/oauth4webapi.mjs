// oauth4webapi: code with PKCE, refresh, client credentials, password, device, pushed requests,
// revocation, and introspection, each way to authenticate. It checks every answer against its RFC.

import * as oauth from 'oauth4webapi'
import {
  check, checkPair, decide, flows, refused, run, scope, settings, statusOfApi,
} from './suite.mjs'

const http = { [oauth.allowInsecureRequests]: true }
const issuer = new URL(settings.issuer)
const server = await oauth.processDiscoveryResponse(
  issuer,
  await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...http }),
)

const { id, secret } = settings.confidential
const confidential = { client_id: id }
const odd = { client_id: settings.odd.id }
const open = { client_id: settings.public.id }
const resourceServer = { client_id: settings.resource_server.id }
const basic = oauth.ClientSecretBasic(secret)
const ways = [
  [confidential, basic],
  [confidential, oauth.ClientSecretPost(secret)],
  [odd, oauth.ClientSecretBasic(settings.odd.secret)],
  [odd, oauth.ClientSecretPost(settings.odd.secret)],
  [open, oauth.None()],
]
const authenticated = ways.slice(0, 4)
const redirect = settings.redirect_uri

/** The parameters of an authorization request, and what is kept for its answer. */
async function request(client) {
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  const parameters = new URLSearchParams({
    client_id: client.client_id,
    redirect_uri: redirect,
    response_type: 'code',
    scope,
    state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  })
  return { verifier, state, parameters }
}

const at = (parameters) => `${server.authorization_endpoint}?${parameters}`
const answered = (client, back, state) =>
  oauth.validateAuthResponse(server, client, new URL(back), state)

async function redeemed(client, way, parameters, verifier) {
  const answer = await oauth.authorizationCodeGrantRequest(
    server, client, way, parameters, redirect, verifier, http,
  )
  return oauth.processAuthorizationCodeResponse(server, client, answer)
}

async function granted(client, way) {
  const { verifier, state, parameters } = await request(client)
  const back = await decide(at(parameters))
  return redeemed(client, way, answered(client, back, state), verifier)
}

async function introspected(token) {
  const way = oauth.ClientSecretBasic(settings.resource_server.secret)
  const answer = await oauth.introspectionRequest(server, resourceServer, way, token, http)
  return oauth.processIntrospectionResponse(server, resourceServer, answer)
}

async function revoked(client, way, token) {
  const answer = await oauth.revocationRequest(server, client, way, token, http)
  await oauth.processRevocationResponse(answer)
}

async function device(client, way) {
  const answer = await oauth.deviceAuthorizationRequest(server, client, way, { scope }, http)
  return oauth.processDeviceAuthorizationResponse(server, client, answer)
}

async function polled(client, way, code) {
  const answer = await oauth.deviceCodeGrantRequest(server, client, way, code, http)
  return oauth.processDeviceCodeResponse(server, client, answer)
}

async function ownToken(client, way) {
  const parameters = { scope }
  const answer = await oauth.clientCredentialsGrantRequest(server, client, way, parameters, http)
  return oauth.processClientCredentialsResponse(server, client, answer)
}

async function byPassword(client, way, password) {
  const parameters = { username: settings.user.name, password, scope }
  const answer = await oauth.genericTokenEndpointRequest(
    server, client, way, 'password', parameters, http,
  )
  return oauth.processGenericTokenEndpointResponse(server, client, answer)
}

await run({
  async code() {
    for (const [client, way] of ways) await checkPair(await granted(client, way))
    const { state, parameters } = await request(confidential)
    const back = await decide(at(parameters), 'deny')
    await refused('denied', 'access_denied', () => answered(confidential, back, state))
    const other = await request(open)
    const code = answered(open, await decide(at(other.parameters)), other.state)
    const guess = oauth.generateRandomCodeVerifier()
    await refused('another verifier', 'invalid_grant', () =>
      redeemed(open, oauth.None(), code, guess))
    const once = await request(open)
    const parts = answered(open, await decide(at(once.parameters)), once.state)
    const token = await redeemed(open, oauth.None(), parts, once.verifier)
    await refused('a code again', 'invalid_grant', () =>
      redeemed(open, oauth.None(), parts, once.verifier))
    check('what it gave has ended', (await statusOfApi(token.access_token)) === 401)
  },

  async refresh() {
    for (const [client, way] of ways) {
      const first = await granted(client, way)
      const answer = await oauth.refreshTokenGrantRequest(
        server, client, way, first.refresh_token, http,
      )
      const second = await oauth.processRefreshTokenResponse(server, client, answer)
      await checkPair(second)
      check('another', second.refresh_token !== first.refresh_token)
    }
  },

  async client_credentials() {
    for (const [client, way] of authenticated) {
      await checkPair(await ownToken(client, way), false)
    }
    await refused('another secret', oauth.WWW_AUTHENTICATE_CHALLENGE, () =>
      ownToken(confidential, oauth.ClientSecretBasic(`${secret}x`)), (thrown) => thrown.code)
  },

  async password() {
    const { password } = settings.user
    for (const [client, way] of authenticated) {
      await checkPair(await byPassword(client, way, password))
    }
    await refused('another password', 'invalid_grant', () =>
      byPassword(confidential, basic, `${password}x`))
  },

  async device() {
    for (const [client, way] of ways) {
      const asked = await device(client, way)
      await decide(asked.verification_uri_complete)
      await checkPair(await polled(client, way, asked.device_code))
    }
    const asked = await device(open, oauth.None())
    const poll = () => polled(open, oauth.None(), asked.device_code)
    await refused('nobody has decided', 'authorization_pending', poll)
    await refused('too soon', 'slow_down', poll)
    await decide(asked.verification_uri_complete, 'deny')
    // One that was never polled is told at its first poll.
    const denied = await device(open, oauth.None())
    await decide(denied.verification_uri_complete, 'deny')
    await refused('denied', 'access_denied', () => polled(open, oauth.None(), denied.device_code))
  },

  async push() {
    for (const [client, way] of ways) {
      const { verifier, state, parameters } = await request(client)
      const answer = await oauth.pushedAuthorizationRequest(server, client, way, parameters, http)
      const pushed = await oauth.processPushedAuthorizationResponse(server, client, answer)
      const { request_uri } = pushed
      const reference = new URLSearchParams({ client_id: client.client_id, request_uri })
      const back = await decide(at(reference))
      await checkPair(await redeemed(client, way, answered(client, back, state), verifier))
    }
  },

  async always() {
    const person = flows.includes('code')
    const token = person ? await granted(confidential, basic) : await ownToken(confidential, basic)
    const told = await introspected(token.access_token)
    check('active', told.active === true, told)
    check('whose', told.client_id === id, told)
    check('who', told.sub === (person ? settings.user.name : undefined), told)
    const response = await oauth.protectedResourceRequest(
      token.access_token, 'GET', new URL(settings.api), undefined, undefined, http,
    )
    check('the API opens', response.status === 200)
    await revoked(confidential, basic, token.access_token)
    check('inactive', (await introspected(token.access_token)).active === false)
    await refused('the API is shut', 'invalid_token', () =>
      oauth.protectedResourceRequest(
        token.access_token, 'GET', new URL(settings.api), undefined, undefined, http,
      ), (thrown) => thrown.cause?.[0]?.parameters?.error)
    // One that is none is as good as revoked (RFC 7009 section 2.2).
    await revoked(confidential, basic, 'none')
    check('none', (await introspected('none')).active === false)
  },
})
