// simple-oauth2: code, refresh, client credentials, password, and revocation, each with a form and
// with JSON, by the field of HTTP and in the body.

import { AuthorizationCode, ClientCredentials, ResourceOwnerPassword } from 'simple-oauth2'
import {
  check, checkPair, decide, flows, refused, run, scope, settings, statusOfApi,
} from './suite.mjs'

const server = new URL(settings.issuer)
const told = await (
  await fetch(new URL('/.well-known/oauth-authorization-server', server))
).json()
const path = (address) => (address ? new URL(address).pathname : undefined)

const configurations = []
for (const client of [settings.confidential, settings.odd]) {
  for (const authorizationMethod of ['header', 'body']) {
    for (const bodyFormat of ['form', 'json']) {
      configurations.push({
        client,
        auth: {
          tokenHost: server.origin,
          tokenPath: path(told.token_endpoint),
          revokePath: path(told.revocation_endpoint),
        },
        options: { authorizationMethod, bodyFormat },
      })
    }
  }
}

const ofCode = (config) => new AuthorizationCode({
  ...config,
  auth: { ...config.auth, authorizePath: path(told.authorization_endpoint) },
})
const codeOf = (thrown) => thrown.data?.payload?.error

async function code(client) {
  const state = crypto.randomUUID()
  const address = client.authorizeURL({ redirect_uri: settings.redirect_uri, scope, state })
  const back = new URL(await decide(address)).searchParams
  check('its state', back.get('state') === state, back)
  return { code: back.get('code'), redirect_uri: settings.redirect_uri }
}

const granted = async (client) => client.getToken(await code(client))

await run({
  async code() {
    for (const config of configurations) {
      const { token } = await granted(ofCode(config))
      await checkPair(token)
    }
    const client = ofCode(configurations[0])
    const parts = await code(client)
    await client.getToken(parts)
    await refused('a code again', 'invalid_grant', () => client.getToken(parts), codeOf)
    const elsewhere = { ...(await code(client)), redirect_uri: `${settings.redirect_uri}/x` }
    await refused('another redirect', 'invalid_grant', () => client.getToken(elsewhere), codeOf)
  },

  async refresh() {
    for (const config of configurations) {
      const first = await granted(ofCode(config))
      check('not expired', !first.expired())
      const second = await first.refresh({ scope })
      await checkPair(second.token)
      check('another', second.token.refresh_token !== first.token.refresh_token)
      await second.revokeAll()
      check('the API is shut', (await statusOfApi(second.token.access_token)) === 401)
      await refused('the family has ended', 'invalid_grant', () => second.refresh(), codeOf)
    }
  },

  async client_credentials() {
    for (const config of configurations) {
      const { token } = await new ClientCredentials(config).getToken({ scope })
      await checkPair(token, false)
    }
  },

  async password() {
    const { name: username, password } = settings.user
    for (const config of configurations) {
      const client = new ResourceOwnerPassword(config)
      const { token } = await client.getToken({ username, password, scope })
      await checkPair(token)
    }
  },

  async always() {
    const config = configurations[0]
    const token = flows.includes('code')
      ? await granted(ofCode(config))
      : await new ClientCredentials(config).getToken({ scope })
    await token.revoke('access_token')
    check('the API is shut', (await statusOfApi(token.token.access_token)) === 401)
  },
})
