// openid-client: code with PKCE, refresh, client credentials, password, device, pushed requests,
// revocation, and introspection, all found through the server's metadata.

import * as client from 'openid-client'
import {
  check, checkPair, decide, flows, refused, run, scope, settings, statusOfApi,
} from './suite.mjs'

const options = { algorithm: 'oauth2', execute: [client.allowInsecureRequests] }
const discovered = (known, way) =>
  client.discovery(new URL(settings.issuer), known.id, undefined, way, options)

const { secret } = settings.confidential
const confidential = await discovered(settings.confidential, client.ClientSecretBasic(secret))
const posting = await discovered(settings.confidential, client.ClientSecretPost(secret))
const odd = await discovered(settings.odd, client.ClientSecretBasic(settings.odd.secret))
const open = await discovered(settings.public, client.None())
const looking = await discovered(
  settings.resource_server, client.ClientSecretBasic(settings.resource_server.secret),
)

async function request() {
  const pkceCodeVerifier = client.randomPKCECodeVerifier()
  const expectedState = client.randomState()
  const parameters = {
    redirect_uri: settings.redirect_uri,
    scope,
    state: expectedState,
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
  }
  return { parameters, checks: { pkceCodeVerifier, expectedState } }
}

async function granted(config) {
  const { parameters, checks } = await request()
  const back = await decide(client.buildAuthorizationUrl(config, parameters))
  return client.authorizationCodeGrant(config, new URL(back), checks)
}

await run({
  async code() {
    for (const config of [confidential, posting, odd, open]) await checkPair(await granted(config))
    const { parameters, checks } = await request()
    const back = await decide(client.buildAuthorizationUrl(open, parameters), 'deny')
    await refused('denied', 'access_denied', () =>
      client.authorizationCodeGrant(open, new URL(back), checks))
    // What is wrong with a request is told to the client as well.
    const asking = client.buildAuthorizationUrl(open, { ...parameters, scope: 'everything' })
    const wrong = await decide(asking)
    await refused('a scope that is none', 'invalid_scope', () =>
      client.authorizationCodeGrant(open, new URL(wrong), checks))
  },

  async refresh() {
    for (const config of [confidential, posting, odd, open]) {
      const first = await granted(config)
      const second = await client.refreshTokenGrant(config, first.refresh_token, { scope })
      await checkPair(second)
      check('another', second.refresh_token !== first.refresh_token)
      check('what it says', second.expiresIn() > settings.expires_in - 60, second.expiresIn())
    }
    await refused('no refresh token', 'invalid_grant', () =>
      client.refreshTokenGrant(open, 'none'))
  },

  async client_credentials() {
    for (const config of [confidential, posting, odd]) {
      await checkPair(await client.clientCredentialsGrant(config, { scope }), false)
    }
  },

  async password() {
    const { name: username, password } = settings.user
    for (const config of [confidential, posting, odd]) {
      const parameters = { username, password, scope }
      await checkPair(await client.genericGrantRequest(config, 'password', parameters))
    }
  },

  async device() {
    const config = open
    const asked = await client.initiateDeviceAuthorization(config, { scope })
    check('a page', asked.verification_uri.startsWith(settings.issuer), asked)
    const polled = client.pollDeviceAuthorizationGrant(config, asked)
    await decide(asked.verification_uri_complete)
    await checkPair(await polled)
  },

  async push() {
    for (const config of [confidential, posting, odd, open]) {
      const { parameters, checks } = await request()
      const address = await client.buildAuthorizationUrlWithPAR(config, parameters)
      check('by reference', address.searchParams.has('request_uri'))
      check('nothing else', !address.searchParams.has('scope'))
      const back = new URL(await decide(address))
      await checkPair(await client.authorizationCodeGrant(config, back, checks))
    }
  },

  async always() {
    const person = flows.includes('code')
    const token = person
      ? await granted(confidential)
      : await client.clientCredentialsGrant(confidential)
    const told = await client.tokenIntrospection(looking, token.access_token)
    check('active', told.active === true, told)
    check('who', told.sub === (person ? settings.user.name : undefined), told)
    const answer = await client.fetchProtectedResource(
      confidential, token.access_token, new URL(settings.api), 'GET',
    )
    check('the API opens', answer.status === 200)
    await client.tokenRevocation(confidential, token.access_token)
    const after = await client.tokenIntrospection(looking, token.access_token)
    check('inactive', after.active === false, after)
    check('the API is shut', (await statusOfApi(token.access_token)) === 401)
  },
})
