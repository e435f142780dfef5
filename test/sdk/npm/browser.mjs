// Speaks to a running Rapport through @segment/analytics-next in Chromium, from
// a page of another origin, as a shop's page does. It is told where by
// RAPPORT_URL and RAPPORT_KEY, and by RAPPORT_STRATEGY whether the SDK batches.
import { createServer } from 'node:http'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

const umd = new URL('./node_modules/@segment/analytics-next/dist/umd/', import.meta.url)
const page = '<!doctype html><meta charset="utf-8"><title>Shop</title><script src="/sdk/index.js"></script><h1>Shop</h1>'
const site = createServer(async (req, res) => {
  const name = /^\/sdk\/([\w.-]+\.js)$/.exec(new URL(req.url, 'http://shop.example').pathname)?.[1]
  try {
    const body = name ? await readFile(new URL(name, umd)) : page
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
let trouble = []
try {
  const tab = await browser.newPage()
  tab.on('console', (m) => m.type() === 'error' && trouble.push(m.text()))
  tab.on('pageerror', (e) => trouble.push(String(e)))
  const answers = []
  tab.on('response', (r) => r.url().startsWith(process.env.RAPPORT_URL) && answers.push(`${r.request().method()} ${new URL(r.url()).pathname} ${r.status()}`))
  await tab.goto(`http://127.0.0.1:${site.address().port}/games`)
  const { url, key, user, tracks, strategy } = {
    url: process.env.RAPPORT_URL, key: process.env.RAPPORT_KEY, user: process.env.RAPPORT_USER,
    tracks: Number(process.env.RAPPORT_TRACKS), strategy: process.env.RAPPORT_STRATEGY,
  }
  const anonymous = await tab.evaluate(async ({ url, key, user, tracks, strategy }) => {
    const deliveryStrategy = strategy === 'batching' ? { strategy: 'batching', config: { size: 5, timeout: 200 } } : undefined
    const analytics = window.AnalyticsNext.AnalyticsBrowser.load(
      { writeKey: key, cdnURL: url },
      deliveryStrategy ? { integrations: { 'Segment.io': { deliveryStrategy } } } : {},
    )
    await analytics.page('Shop', 'Games')
    await analytics.track('Product Viewed', { first: true })
    await analytics.identify(user, { email: `${user}@Mail.Example`, firstName: 'Grace', plan: 'pro', age: 36 })
    await analytics.group('firm-1', { name: 'Firm' })
    for (let n = 0; n < tracks; n++) await analytics.track('Order Completed', { revenue: 9.5, n })
    return (await analytics.user()).anonymousId()
  }, { url, key, user, tracks, strategy })
  // What is still in the SDK's hands goes out when the page is left.
  await tab.waitForTimeout(500)
  await tab.goto('about:blank')
  console.log(JSON.stringify({ anonymous, answers: answers.length, trouble }))
  const bad = answers.filter((a) => !/ (200|204)$/.test(a))
  if (bad.length || !answers.some((a) => a.startsWith('GET /v1/projects/'))) throw new Error(`answers: ${bad.join(', ') || answers.join(', ')}`)
  if (trouble.length) throw new Error(trouble.join('\n'))
} finally {
  await browser.close()
  site.close()
  await rm(profile, { recursive: true, force: true })
}
