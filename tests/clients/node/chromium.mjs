// A person's Chromium: finds what it is told by the words that stand on it, and looks at each page
// as everybody sees it.
//
// 1. A page is looked at in four variants: narrow and wide, light and dark. In each, axe-core finds
//    nothing, and nothing is wider than the window.
// 2. All the while, no page logs an error, breaks its own Content-Security-Policy, fails in a
//    script, or asks anybody else for anything. A form may be refused only where that is the point.
// 3. What is found is kept and told at the end, so that one run tells all of it.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import puppeteer from 'puppeteer-core'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
// All of axe's rules, and one that it leaves out by default: WCAG 2.2, 2.5.8.
const AXE = { resultTypes: ['violations'], rules: { 'target-size': { enabled: true } } }

export const VARIANTS = ['narrow', 'wide'].flatMap((size) =>
  ['light', 'dark'].map((scheme) => ({ size, scheme })))
const SIZES = {
  narrow: { width: 360, height: 740 },
  wide: { width: 1280, height: 800 },
}
const CLIPBOARD = ['clipboard-read', 'clipboard-write', 'clipboard-sanitized-write']
const REFUSED = 'Failed to load resource: the server responded with a status of '

export const found = []
export const seen = new Set()
let passed = 0

/** Counts a check, and keeps what does not hold. */
export function check(what, holds, saw = '') {
  if (holds) passed += 1
  else found.push(`${what} ${saw}`.trim())
}

export const checksPassed = () => passed

/** Starts Chromium. As root it has no sandbox. */
export async function launch(executablePath) {
  const args = ['--disable-gpu', '--disable-dev-shm-usage', '--hide-scrollbars']
  if (process.getuid() === 0) args.push('--no-sandbox')
  return puppeteer.launch({ executablePath, args })
}

/** A window that shares no cookie with another. */
export class Window {
  /** Opens one; `site` is the server, and `app` the only other origin that it may be led to. */
  static async open(browser, { site, app, shots }) {
    const context = await browser.createBrowserContext()
    await context.overridePermissions(site, CLIPBOARD)
    const page = await context.newPage()
    const window = new Window()
    Object.assign(window, { page, site, app, shots, refusal: 0 })
    await page.setUserAgent((await browser.userAgent()).replace('Headless', ''))
    await page.setViewport(SIZES.wide)
    await page.evaluateOnNewDocument(() => {
      document.addEventListener('securitypolicyviolation', (event) => {
        console.error(`policy broken: ${event.violatedDirective} by ${event.blockedURI}`)
      })
    })
    page.on('console', (message) => {
      const expected = `${REFUSED}${window.refusal} `
      if (message.text().startsWith(expected)) return
      if (['error', 'warn', 'assert'].includes(message.type())) {
        found.push(`${page.url()} logs: ${message.text()}`)
      }
    })
    page.on('pageerror', (error) => found.push(`${page.url()} fails: ${error.message}`))
    page.on('request', (request) => {
      const { protocol, origin } = new URL(request.url())
      const leads = origin === app && request.isNavigationRequest()
      if (protocol === 'data:' || origin === site || leads) return
      found.push(`${page.url()} asks for ${request.url()}`)
    })
    return window
  }

  async goto(path, status = 200) {
    this.refusal = status
    const answer = await this.page.goto(new URL(path, this.site))
    check(`${path}: ${status}`, answer.status() === status, answer.status())
  }

  path() {
    const { pathname, search } = new URL(this.page.url())
    return pathname + search
  }

  /** The text of the page, as it is read. */
  text() {
    return this.page.evaluate(() => document.body.innerText.replace(/\s+/g, ' '))
  }

  async says(words) {
    const text = await this.text()
    check(`"${words}" at ${this.path()}`, text.includes(words), text)
  }

  /** The link, button, or summary with these words, the last of them where there are several. */
  async named(words) {
    const handle = await this.page.evaluateHandle((words) => {
      const all = [...document.querySelectorAll('a, button, summary')]
      const text = (element) => element.textContent.replace(/\s+/g, ' ').trim()
      return all.filter((each) => text(each) === words && each.checkVisibility()).at(-1)
    }, words)
    if (!handle.asElement()) {
      throw new Error(`nothing is called "${words}" at ${this.path()}: ${await this.text()}`)
    }
    return handle.asElement()
  }

  async press(words) {
    await (await this.named(words)).click()
  }

  /** Presses what leads to another page, which is answered with this status. */
  async go(words, status = 200) {
    this.refusal = status
    const element = await this.named(words)
    await this.arrive(status, () => element.click())
  }

  async arrive(status, act) {
    const [answer] = await Promise.all([this.page.waitForNavigation(), act()])
    check(`${this.path()}: ${status}`, answer.status() === status, answer.status())
  }

  /** Opens a warning, and does what it warns of. */
  async insist(words) {
    await this.press(words)
    await this.go(words)
  }

  /** Types into the field with this label, in the place of what is there. */
  async fill(label, text) {
    const handle = await this.page.evaluateHandle((label) => {
      const labels = [...document.querySelectorAll('label')]
      return labels.find((each) => each.textContent.trim().startsWith(label))?.control
    }, label)
    if (!handle.asElement()) throw new Error(`no field is called "${label}" at ${this.path()}`)
    await handle.asElement().evaluate((field) => {
      field.focus()
      field.select()
    })
    await this.page.keyboard.press('Backspace')
    await this.page.keyboard.type(text)
  }

  /** What has the focus, and whether that is seen. */
  focused() {
    return this.page.evaluate(() => {
      const { activeElement } = document
      const { outlineStyle, outlineWidth } = getComputedStyle(activeElement)
      const text = activeElement.textContent.trim()
      return { text, seen: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2 }
    })
  }

  /** Goes on with the tabulator until this has the focus, and presses Enter. */
  async tabTo(words) {
    for (let presses = 0; presses < 40; presses += 1) {
      await this.page.keyboard.press('Tab')
      const { text, seen } = await this.focused()
      if (text === words) {
        check(`the focus on "${words}" is seen`, seen)
        return
      }
    }
    throw new Error(`the tabulator does not reach "${words}" at ${this.path()}`)
  }

  /** Looks at the page that is open, under a name of its own. */
  async look(name) {
    seen.add(name)
    // Whoever waits for this program waits for its next line.
    console.log(name)
    await this.page.evaluate(axe)
    for (const { size, scheme } of VARIANTS) {
      await this.page.setViewport(SIZES[size])
      await this.page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }])
      if (this.shots) await this.shoot(`${name}-${size}-${scheme}`)
      const [wide, { violations, passes }] = await this.page.evaluate(async (options) => {
        const closed = [...document.querySelectorAll('details:not([open])')]
        closed.forEach((each) => { each.open = true })
        const { scrollWidth, clientWidth } = document.documentElement
        const result = await globalThis.axe.run(options)
        closed.forEach((each) => { each.open = false })
        const violations = result.violations.map(({ id, nodes }) =>
          `${id}: ${nodes.map((node) => node.html.slice(0, 120)).join(' ')}`)
        return [scrollWidth - clientWidth, { violations, passes: result.passes.length }]
      }, AXE)
      const variant = `${name}, ${size}, ${scheme}`
      check(`${variant}: fits the window`, wide <= 0, `by ${wide}px`)
      check(`${variant}: axe`, violations.length === 0, violations.join('; '))
      check(`${variant}: axe has looked`, passes > 0)
      passed += Math.max(0, passes - 1)
    }
    await this.page.setViewport(SIZES.wide)
  }

  async shoot(name) {
    const path = `${this.shots}/${name.replaceAll(/[ ,]+/g, '-')}.png`
    await this.page.screenshot({ path, fullPage: true })
  }
}
