// A page of a shop in Chromium, of another origin than Rapport's, as its users'
// pages are. visit serves the files, opens the page, lets use work with the tab
// and leaves the page, which is when an SDK sends what it still has in hand.
import { createServer } from 'node:http'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

export const env = {
  url: process.env.RAPPORT_URL, key: process.env.RAPPORT_KEY, user: process.env.RAPPORT_USER,
  tracks: Number(process.env.RAPPORT_TRACKS), strategy: process.env.RAPPORT_STRATEGY,
}

// visit gives what use gives, and the answers that the SDK got from Rapport.
export async function visit({ folder, script }, use) {
  const tag = !script ? '' : `<script src="/sdk/${script}"></script>`
  const page = `<!doctype html><meta charset="utf-8"><title>Shop</title>${tag}<h1>Shop</h1>`
  const site = createServer(async (req, res) => {
    const name = /^\/sdk\/([\w.-]+)$/.exec(new URL(req.url, 'http://shop.example').pathname)?.[1]
    try {
      const body = name ? await readFile(new URL(name, folder)) : page
      res.writeHead(200, { 'Content-Type': name ? 'text/javascript' : 'text/html; charset=utf-8' }).end(body)
    } catch {
      res.writeHead(404).end()
    }
  })
  await new Promise((done) => site.listen(0, '127.0.0.1', done))
  const profile = await mkdtemp(join(tmpdir(), 'sdk-'))
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  })
  const trouble = [], answers = []
  try {
    const tab = await browser.newPage()
    tab.on('console', (m) => m.type() === 'error' && trouble.push(m.text()))
    tab.on('pageerror', (e) => trouble.push(String(e)))
    tab.on('response', (r) => r.url().startsWith(env.url) && answers.push(`${r.request().method()} ${new URL(r.url()).pathname} ${r.status()}`))
    await tab.goto(`http://127.0.0.1:${site.address().port}/games`)
    const out = await use(tab, answers)
    await tab.waitForTimeout(500)
    await tab.goto('about:blank')
    const bad = answers.filter((a) => !/ (200|204)$/.test(a))
    if (bad.length || answers.length === 0) throw new Error(`answers: ${bad.join(', ') || 'none'}`)
    if (trouble.length) throw new Error(trouble.join('\n'))
    console.log(JSON.stringify({ ...out, answers: answers.length }))
    return answers
  } finally {
    await browser.close()
    site.close()
    await rm(profile, { recursive: true, force: true })
  }
}
