// Speaks to a running Rapport through @rudderstack/analytics-js in Chromium, which
// asks for its source first and sends the rest when the page is left.
import { env, visit } from './page.mjs'

const folder = new URL('./node_modules/@rudderstack/analytics-js/dist/npm/modern/bundled/umd/', import.meta.url)
const answers = await visit({ folder, script: 'index.js' }, (tab) => tab.evaluate(async ({ url, key, user, tracks, strategy }) => {
  const { RudderAnalytics } = window.rudderanalytics ?? window
  const analytics = new RudderAnalytics()
  const started = new Promise((done) => analytics.ready(done))
  analytics.load(key, url, {
    configUrl: url, logLevel: 'ERROR', useBeacon: strategy === 'beacon',
    beaconQueueOptions: { maxItems: 5, flushQueueInterval: 600000 },
    queueOptions: strategy === 'batching' ? { batch: { enabled: true, maxItems: 5, flushInterval: 200 } } : {},
  })
  await started
  analytics.page('Shop', 'Games')
  analytics.track('Product Viewed', { first: true })
  analytics.identify(user, { email: `${user}@Mail.Example`, firstName: 'Grace', plan: 'pro', age: 36 })
  analytics.group('firm-1', { name: 'Firm' })
  for (let n = 0; n < tracks; n++) analytics.track('Order Completed', { revenue: 9.5, n })
  const anonymous = analytics.getAnonymousId()
  await new Promise((done) => setTimeout(done, 1500)) // The SDK sends when it sees fit.
  return { anonymous }
}, env))
if (!answers.some((a) => a.startsWith('GET /sourceConfig'))) throw new Error(`answers: ${answers.join(', ')}`)
if (env.strategy === 'beacon' && !answers.some((a) => a.startsWith('POST /beacon/'))) throw new Error(`answers: ${answers.join(', ')}`)
