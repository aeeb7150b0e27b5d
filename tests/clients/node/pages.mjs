// The pages of the server in Chromium: everything that a person and an operator do there, done as
// they do it, by pressing what they read. The last page of each step is looked at in each variant.

import { createServer } from 'node:http'
import { Window, VARIANTS, check, checksPassed, found, launch, seen } from './chromium.mjs'

const settings = JSON.parse(process.env.GRANTKEEP_CLIENTS)
const { issuer: site, operator, person, api, shots } = settings
const SLOW_MS = 20_000

// The app that asks for access: a page of its own, to which the browser is led back.
const server = createServer((_, response) => {
  response.setHeader('content-type', 'text/html')
  response.end('<!DOCTYPE html><html lang="en"><link rel="icon" href="data:,"><p>Back in the app.')
})
await new Promise((listening) => server.listen(0, '127.0.0.1', listening))
const app = `http://127.0.0.1:${server.address().port}`
const redirect = `${app}/callback`
const APP = 'Harbor Calendar'

const browser = await launch(settings.chromium)
const open = () => Window.open(browser, { site, app, shots })

const statusOfApi = async (token) =>
  (await fetch(api, { headers: { authorization: `Bearer ${token}` } })).status

/** Posts to an endpoint, as the app does. */
async function post(path, client, fields) {
  const answer = await fetch(`${site}/oauth/${path}`, {
    method: 'POST',
    body: new URLSearchParams({ client_id: client.id, client_secret: client.secret, ...fields }),
  })
  return { status: answer.status, ...(await answer.json()) }
}

const exchange = (client, code) =>
  post('token', client, { grant_type: 'authorization_code', code, redirect_uri: redirect })

const asks = (client, fields = {}) => {
  const query = { response_type: 'code', client_id: client.id, state: 'af0ifjsldkj', ...fields }
  return `/oauth/authorize?${new URLSearchParams(query)}`
}

/** Where the app was led back to, with what. */
function back(window) {
  const { origin, searchParams } = new URL(window.page.url())
  check('back in the app', origin === app, window.page.url())
  return searchParams
}

/** Waits until this holds, as long as anything may take. */
async function until(what, holds) {
  const began = Date.now()
  while (!(await holds())) {
    if (Date.now() - began > SLOW_MS) throw new Error(`not in time: ${what}`)
    await new Promise((after) => setTimeout(after, 100))
  }
}

async function signIn(window, { name, password }) {
  await window.fill('User name', name)
  await window.fill('Password', password)
}

/** Copies what is shown once, by its button. */
async function copied(window, what) {
  // Only the window in front has the clipboard.
  await window.page.bringToFront()
  await window.press(`Copy ${what}`)
  await until('it is copied', async () => (await window.text()).includes('Copied.'))
  const kept = await window.page.evaluate(() => navigator.clipboard.readText())
  const shown = await window.page.$$eval('textarea', (all) => all.map((each) => each.value))
  check(`the button copies the ${what}`, kept.length > 15 && shown.includes(kept))
  return kept
}

/** Nobody has granted or made anything yet. */
async function emptyPages(me) {
  await me.goto('/')
  await me.look('sign in')
  // By the keyboard alone: the first field has the focus.
  await me.page.keyboard.type(person.name)
  await me.page.keyboard.press('Tab')
  await me.page.keyboard.type('not the password')
  me.refusal = 403
  await me.arrive(403, () => me.page.keyboard.press('Enter'))
  await me.says('The user name or the password is wrong.')
  await me.look('sign in, refused')
  // The name is kept, and the password is what is typed again.
  await me.page.keyboard.type(person.password)
  await me.arrive(200, () => me.page.keyboard.press('Enter'))
  await me.says('No apps yet')
  await me.look('apps, none')
  await me.go('Connected apps')
  await me.says('No connected apps')
  await me.look('connected apps, none')
  await me.go('API keys')
  await me.says('No keys yet')
  await me.look('API keys, none')
  await me.go('Browsers')
  await me.says('You are signed in nowhere else.')
  await me.look('browsers, this one')
  await me.goto('/operator/clients', 403)
  await me.says('This page is for operators.')
  await me.look('refused')
}

/** An operator registers the app, and gives it another secret. */
async function register(boss) {
  await boss.goto('/operator/clients')
  await signIn(boss, operator)
  await boss.go('Sign in')
  await boss.says('No clients yet')
  await boss.look('clients, none')
  await boss.go('New client')
  await boss.look('new client')
  await boss.fill('Name', APP)
  await boss.fill('Redirect URIs', redirect)
  await boss.go('Create the client')
  await boss.look('client made')
  const id = await copied(boss, 'Client id')
  const secret = await copied(boss, 'Client secret')
  boss.refusal = 409
  const again = await boss.page.reload()
  check('a form that was sent twice', again.status() === 409, again.status())
  await boss.look('sent twice')
  await boss.goto('/operator/clients')
  await boss.look('clients')
  await boss.go(APP)
  await boss.look('client')
  const first = { id, secret }
  await boss.go('Create another secret')
  await boss.look('another secret')
  const second = { id, secret: await copied(boss, 'Client secret') }
  await boss.go('I have kept it: go on')
  const secrets = await boss.page.$$eval('h3 .id', (all) => all.map((each) => each.textContent))
  check('two secrets', secrets.length === 2, secrets)
  const accepted = async (client) => (await exchange(client, 'none')).error === 'invalid_grant'
  check('both secrets', (await accepted(first)) && (await accepted(second)))
  await boss.insist(`Remove ${secrets[0]}`)
  await boss.says('The secret is removed.')
  check('the new secret alone', !(await accepted(first)) && (await accepted(second)))
  return second
}

/** It gets another name, and loses nothing by what is not allowed. */
async function edit(boss) {
  await boss.go(`Edit ${APP}`)
  await boss.look('edit client')
  await boss.fill('Name', 'Quay Calendar')
  await boss.fill('Redirect URIs', 'http://elsewhere.example/callback')
  await boss.go('Save the changes', 400)
  await boss.says('A redirect URI is http and leaves this machine: use https.')
  await boss.look('edit client, refused')
  await boss.fill('Redirect URIs', redirect)
  await boss.go('Save the changes')
  await boss.says('The client is changed.')
  await boss.says('Quay Calendar')
  await boss.go('Edit Quay Calendar')
  await boss.fill('Name', APP)
  await boss.go('Save the changes')
}

/** Nothing is issued to it for a while. */
async function disable(boss, client) {
  await boss.insist(`Disable ${APP}`)
  await boss.says('The client is disabled')
  await boss.look('client, disabled')
  check('it is refused', (await exchange(client, 'none')).error === 'invalid_client')
  await boss.go(`Enable ${APP}`)
  await boss.says('The client is enabled.')
}

/** The app asks, and is told yes or no. */
async function decide(me, client) {
  await me.goto(asks(client, { redirect_uri: 'https://elsewhere.example/' }), 400)
  await me.look('wrong request')
  await me.goto(asks(client))
  await me.look('sign in for an app')
  await me.page.keyboard.type(person.name)
  await me.page.keyboard.press('Tab')
  await me.page.keyboard.type(person.password)
  await me.arrive(200, () => me.page.keyboard.press('Enter'))
  await me.says(`${APP} asks for access`)
  await me.look('approve')
  await me.tabTo('Authorize')
  await me.arrive(200, () => me.page.keyboard.press('Enter'))
  const approved = back(me)
  check('its state', approved.get('state') === 'af0ifjsldkj')
  check('who says so', approved.get('iss') === site)
  const pair = await exchange(client, approved.get('code'))
  check('a code that works', (await statusOfApi(pair.access_token)) === 200)
  await me.goto(asks(client))
  await signIn(me, person)
  await me.go('Sign in')
  await me.go('Deny')
  check('denied', back(me).get('error') === 'access_denied')
  return pair
}

/** The provider starts the flow, for an app of its list. */
async function start(me, client) {
  await me.goto('/')
  await me.look('apps')
  await me.go(`About ${APP}`)
  await me.look('app')
  await me.go('Get started')
  const pair = await exchange(client, back(me).get('code'))
  check('a code that was not asked for', (await statusOfApi(pair.access_token)) === 200)
  return pair
}

/** A device shows a code, and waits for what is decided. */
async function addDevice(me, client) {
  const device = async () => {
    const shown = await post('device_authorization', client, {})
    const grant_type = 'urn:ietf:params:oauth:grant-type:device_code'
    return { ...shown, poll: () => post('token', client, { grant_type, ...shown }) }
  }
  await me.goto('/')
  await me.go('Add a device')
  await me.look('device')
  await me.fill('Code', 'BCDF-GHJK')
  await me.go('Continue', 400)
  await me.says('There is no such code')
  await me.look('device, unknown code')
  const television = await device()
  await me.fill('Code', television.user_code.toLowerCase())
  await me.go('Continue')
  await me.look('device, asked')
  await me.go('Approve this device')
  await me.says('The device is approved.')
  const pair = await television.poll()
  check('the device has access', (await statusOfApi(pair.access_token)) === 200, pair.error)
  const stranger = await device()
  await me.goto(stranger.verification_uri_complete)
  await me.go('Continue')
  await me.go('Deny')
  await me.says('The device is refused.')
  check('the device has none', (await stranger.poll()).error === 'access_denied')
  return pair
}

/** A key for a program of one's own. */
async function key(me) {
  await me.go('API keys')
  await me.fill('Name', 'Nightly report')
  await me.go('Create a key')
  await me.look('API key made')
  const token = await copied(me, 'API key')
  await me.go('I have kept it: go on')
  await me.says('Never used.')
  check('the key works', (await statusOfApi(token)) === 200)
  await me.go('API keys')
  await me.says('Last used just now.')
  check('it is shown once', !(await me.page.content()).includes(token))
  await me.look('API keys')
  await me.insist('Revoke Nightly report')
  await me.says('The key is revoked.')
  check('it is refused', (await statusOfApi(token)) === 401)
  await me.fill('Name', 'Backup')
  await me.go('Create a key')
  return copied(me, 'API key')
}

/** What apps have is listed, and taken back. */
async function disconnect(me, pairs) {
  await me.goto('/apps/connected')
  await me.look('connected apps')
  const last = pairs.at(-1).access_token
  await me.insist(`End this access of ${APP}`)
  await me.says('Its access has ended.')
  const left = await Promise.all(pairs.map(({ access_token }) => statusOfApi(access_token)))
  check('one has ended', left.filter((status) => status === 401).length === 1, left)
  await me.insist(`Disconnect ${APP}`)
  await me.says('The app is disconnected.')
  check('all have ended', (await statusOfApi(last)) === 401)
}

/** Other browsers are signed out: one, all, and everything else with them. */
async function browsers(me, client) {
  const other = await open()
  const enter = async () => {
    await other.goto('/account/browsers')
    await signIn(other, person)
    await other.go('Sign in')
    await me.goto('/account/browsers')
  }
  const isOut = async (how) => {
    await other.goto('/account/browsers')
    check(`it is signed out ${how}`, other.path().startsWith('/signin'), other.path())
  }
  await enter()
  await me.look('browsers')
  await me.go('Sign out Chrome on Linux')
  await me.says('The browser is signed out.')
  await isOut('by itself')
  await enter()
  await me.go('Sign out all other browsers')
  await isOut('with all others')
  const pair = await start(me, client)
  await enter()
  await me.insist('Sign out everywhere else')
  await me.says('Every other browser is signed out, and every app is disconnected.')
  await isOut('with everything')
  check('apps as well', (await statusOfApi(pair.access_token)) === 401)
  await enter()
  return other
}

/** A password is changed by whoever knows the present one, and others are out. */
async function changePassword(me, other) {
  const change = async (present, fresh, again = fresh) => {
    await me.fill('Current password', present)
    await me.fill('New password', fresh)
    await me.fill('New password, again', again)
  }
  const fresh = 'five small boats, one lighthouse'
  await me.go('Password')
  await me.look('password')
  await change('not the password', fresh)
  await me.go('Change the password', 403)
  await me.says('The current password is wrong.')
  await me.look('password, refused')
  await change(person.password, fresh, `${fresh}!`)
  await me.go('Change the password', 400)
  await me.says('The two new passwords are not the same.')
  await change(person.password, fresh)
  await me.go('Change the password')
  await me.says('Your password is changed.')
  await other.goto('/account/browsers')
  check('others are out', other.path().startsWith('/signin'))
  await me.go('Sign out')
  await me.look('sign out')
  await (await me.page.$('main button')).evaluate((button) => button.focus())
  await me.arrive(200, () => me.page.keyboard.press('Enter'))
  await me.says('You are signed out.')
  await me.look('signed out')
  await signIn(me, person)
  await me.go('Sign in', 403)
  person.password = fresh
  await signIn(me, person)
  await me.go('Sign in')
}

/** What a person has granted, as an operator sees and ends it. */
async function grantsOf(boss, me, pair, apiKey) {
  await boss.goto('/')
  await boss.go('Grants')
  await boss.look('grants')
  await boss.fill('User name', 'nobody')
  await boss.go('Show what they have granted')
  await boss.says('Nothing is in force')
  await boss.look('grants of nobody')
  await boss.fill('User name', person.name)
  await boss.go('Show what they have granted')
  await boss.says('API key: Backup')
  await boss.look('grants of a person')
  await boss.insist('Revoke Backup')
  check('the key is refused', (await statusOfApi(apiKey)) === 401)
  check('the app is not', (await statusOfApi(pair.access_token)) === 200)
  await boss.insist(`Revoke everything ${person.name}`)
  await boss.says('Everything that was issued to this person is revoked.')
  check('the app is refused', (await statusOfApi(pair.access_token)) === 401)
  await me.goto('/account/browsers')
  check('the person is signed out', me.path().startsWith('/signin'))
}

/** The charts go on by themselves while the server works. */
async function dashboard(boss, client, first) {
  const charts = () => boss.page.$$eval('figure', (all) => all.map((figure) => ({
    name: figure.querySelector('figcaption').firstChild.textContent.trim(),
    most: figure.querySelector('[data-most]').textContent,
    points: figure.querySelector('polyline').getAttribute('points'),
  })))
  await boss.goto('/operator/dashboard')
  await until('a first sample', async () => (await charts())[0].points.includes(','))
  const before = await charts()
  check('eleven charts', before.length === 11)
  let pair = first
  let working = true
  const work = async () => {
    while (working) {
      await Promise.all(Array.from({ length: 20 }, () => statusOfApi(pair.access_token)))
      await statusOfApi('gk_none')
      pair = await post('token', client, {
        grant_type: 'refresh_token', refresh_token: pair.refresh_token,
      })
      await new Promise((after) => setTimeout(after, 20 + 80 * Math.random()))
    }
  }
  const worked = work()
  const busy = ['Looked up', 'Refreshed', 'Refused']
  await until('what happens is counted', async () => {
    const shown = new Map((await charts()).map(({ name, most }) => [name, parseFloat(most)]))
    return busy.every((name) => shown.get(name) >= 1)
  })
  // A picture shows more of it than a test waits for.
  for (let more = 0; shots && more < 10; more += 1) {
    console.log('dashboard, a while longer')
    await new Promise((after) => setTimeout(after, 10_000))
  }
  const after = await charts()
  for (const [at, { name, points }] of after.entries()) {
    check(`the chart of ${name} has moved`, points !== before[at].points)
  }
  await boss.look('dashboard')
  working = false
  await worked
  return pair
}

/** The client is gone, with all that it had. */
async function remove(boss, client, pair) {
  await boss.goto('/operator/clients')
  await boss.go(APP)
  await boss.go(`Delete ${APP}...`)
  await boss.look('delete client')
  check('asking deletes nothing', (await statusOfApi(pair.access_token)) === 200)
  await boss.go('Delete the client')
  await boss.says('The client is deleted')
  await boss.says('No clients yet')
  check('its access has ended', (await statusOfApi(pair.access_token)) === 401)
  check('it is refused', (await exchange(client, 'none')).error === 'invalid_client')
}

const [me, boss] = [await open(), await open()]
try {
  await emptyPages(me)
  const client = await register(boss)
  await edit(boss)
  await disable(boss, client)
  const pairs = [await decide(me, client), await start(me, client), await addDevice(me, client)]
  const apiKey = await key(me)
  await disconnect(me, pairs)
  const other = await browsers(me, client)
  await changePassword(me, other)
  const last = await dashboard(boss, client, await start(me, client))
  await grantsOf(boss, me, last, apiKey)
  await signIn(me, person)
  await me.go('Sign in')
  await remove(boss, client, await start(me, client))
} catch (thrown) {
  found.push(thrown.stack)
  if (shots) await Promise.all([me.shoot('failed-me'), boss.shoot('failed-boss')])
}
await browser.close()
server.close()
server.closeAllConnections()
for (const each of found) console.log(`failed: ${each}`)
console.log(
  `pages in Chromium: ${seen.size} pages, ${checksPassed()} checks passed, ` +
  `${found.length} failed, ${VARIANTS.length} variants`,
)
process.exitCode = found.length ? 1 : 0
