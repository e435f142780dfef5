// Speaks to a running Rapport through @jitsu/js in Chromium, as a page that was
// built with it does.
import { env, visit } from './page.mjs'

const folder = new URL('./node_modules/@jitsu/js/dist/', import.meta.url)
await visit({ folder }, (tab) => tab.evaluate(async ({ url, key, user, tracks }) => {
  const { jitsuAnalytics } = await import('/sdk/jitsu.es.js')
  const analytics = jitsuAnalytics({ host: url, writeKey: `${key}:secret` })
  await analytics.page('Games', { section: 'Shop' })
  await analytics.track('Product Viewed', { first: true })
  const anonymous = (await analytics.user()).anonymousId
  await analytics.identify(user, { email: `${user}@Mail.Example`, firstName: 'Grace', plan: 'pro', age: 36 })
  await analytics.group('firm-1', { name: 'Firm' })
  for (let n = 0; n < tracks; n++) await analytics.track('Order Completed', { revenue: 9.5, n })
  return { anonymous }
}, env))
