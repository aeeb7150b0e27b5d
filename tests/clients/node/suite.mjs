// What the clients in JavaScript share: what the driver says, the count of checks, and the browser.
//
// The driver (`../main.rs`) puts all it has made into one environment variable, as JSON. It is also
// the browser: it follows an address through the pages, as a person who signs in and decides.

export const settings = JSON.parse(process.env.GRANTKEEP_CLIENTS)
export const { flows, scope } = settings
export const DEVICE_CODE = 'urn:ietf:params:oauth:grant-type:device_code'

let passed = 0

/** Counts a check that holds, and throws for one that does not. */
export function check(what, holds, seen) {
  if (!holds) throw new Error(`failed: ${what}: ${JSON.stringify(seen)}`)
  passed += 1
}

/** Checks that the library throws, and that the code of its error is this. */
export async function refused(what, error, call, codeOf = (thrown) => thrown.error) {
  let answer
  try {
    answer = await call()
  } catch (thrown) {
    if (codeOf(thrown) !== error) throw thrown
    passed += 1
    return
  }
  check(what, false, answer)
}

/** Where the pages lead somebody who signs in and decides so. */
export async function decide(address, decision = 'approve') {
  const asked = new URLSearchParams({ url: String(address), decision })
  const answer = await fetch(`${settings.browser}/decide?${asked}`)
  const text = await answer.text()
  check('the pages lead on', answer.status === 200, text)
  return text
}

/** What the protected API answers to a token. */
export async function statusOfApi(token) {
  const headers = { authorization: `Bearer ${token}` }
  return (await fetch(settings.api, { headers })).status
}

/** Checks what is issued for a person. */
export async function checkPair(token, refreshed = flows.includes('refresh')) {
  const type = token.token_type.toLowerCase()
  check('the type', type === settings.token_type.toLowerCase(), token)
  check('the lifetime', token.expires_in === settings.expires_in, token)
  check('a refresh token', ('refresh_token' in token) === refreshed, token)
  check('the API opens', (await statusOfApi(token.access_token)) === 200)
}

/** Runs those of the functions whose flow the system has, and says how many checks passed. */
export async function run(functions) {
  for (const [flow, call] of Object.entries(functions)) {
    if (flow === 'always' || flows.includes(flow)) await call()
  }
  console.log(`${passed} checks passed`)
}
