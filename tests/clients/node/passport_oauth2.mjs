// passport-oauth2 in an express application with sessions: sign-in by code, with PKCE and a state
// of its own, and without.

import express from 'express'
import session from 'express-session'
import passport from 'passport'
import { Strategy } from 'passport-oauth2'
import { check, checkPair, decide, run, scope, settings } from './suite.mjs'

const told = await (
  await fetch(new URL('/.well-known/oauth-authorization-server', settings.issuer))
).json()

const app = express()
app.use(session({ secret: crypto.randomUUID(), resave: false, saveUninitialized: true }))
const listener = app.listen(0, '127.0.0.1')
await new Promise((resolve) => listener.once('listening', resolve))
// A redirect URI on this machine is good at any port (RFC 8252 section 7.3).
const { pathname } = new URL(settings.redirect_uri)
const callbackURL = `http://127.0.0.1:${listener.address().port}${pathname}`

const strategies = {
  pkce: { clientID: settings.confidential.id, pkce: true, state: true },
  plain: { clientID: settings.confidential.id, state: true },
  open: { clientID: settings.public.id, pkce: true, state: true },
}
for (const [name, options] of Object.entries(strategies)) {
  const strategy = new Strategy(
    {
      authorizationURL: told.authorization_endpoint,
      tokenURL: told.token_endpoint,
      clientSecret: name === 'open' ? undefined : settings.confidential.secret,
      callbackURL,
      scope: scope.split(' '),
      ...options,
    },
    (access, refresh, token, profile, done) => done(null, { ...token, refresh_token: refresh }),
  )
  passport.use(name, strategy)
}

const authenticated = (name) => passport.authenticate(name, { session: false })
let strategy
const current = (...handed) => authenticated(strategy)(...handed)
app.get('/sign-in', (...handed) => current(...handed))
app.get(pathname, (...handed) => current(...handed), (request, response) =>
  response.json(request.user))
app.use((error, request, response, next) => {
  response.status(500).send(String(error.oauthError?.data ?? error.stack))
})

/** Signs in with a strategy, as a browser that keeps the application's cookie. */
async function signedIn(name, decision) {
  strategy = name
  const first = await fetch(new URL('/sign-in', callbackURL), { redirect: 'manual' })
  check('led to the server', first.status === 302, await first.text())
  const cookie = first.headers.get('set-cookie').split(';')[0]
  const back = await decide(first.headers.get('location'), decision)
  check('led back', back.startsWith(callbackURL), back)
  return fetch(back, { headers: { cookie } })
}

await run({
  async code() {
    for (const name of Object.keys(strategies)) {
      const answer = await signedIn(name)
      const text = await answer.text()
      check('signed in', answer.status === 200, text)
      await checkPair({ refresh_token: undefined, ...JSON.parse(text) }, true)
    }
    const denied = await signedIn('pkce', 'deny')
    check('denied', denied.status === 401, denied.status)
    // A code that belongs to nobody's session.
    const alone = await fetch(`${callbackURL}?code=none&state=none`)
    check('another state', alone.status === 403, alone.status)
  },
})
listener.close()
