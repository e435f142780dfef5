// Speaks to a running Rapport through @segment/analytics-next in Chromium. It is
// told where by RAPPORT_URL and RAPPORT_KEY, and by RAPPORT_STRATEGY whether the
// SDK batches.
import { env, visit } from './page.mjs'

const folder = new URL('./node_modules/@segment/analytics-next/dist/umd/', import.meta.url)
const answers = await visit({ folder, script: 'index.js' }, (tab) => tab.evaluate(async ({ url, key, user, tracks, strategy }) => {
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
  return { anonymous: (await analytics.user()).anonymousId() }
}, env))
if (!answers.some((a) => a.startsWith('GET /v1/projects/'))) throw new Error(`answers: ${answers.join(', ')}`)
