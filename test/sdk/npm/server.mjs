// Speaks to a running Rapport through @segment/analytics-node. It is told where
// by RAPPORT_URL and RAPPORT_KEY, and ends with 0 once everything is delivered.
import { Analytics } from '@segment/analytics-node'

const user = process.env.RAPPORT_USER
const tracks = Number(process.env.RAPPORT_TRACKS)
const analytics = new Analytics({
  host: process.env.RAPPORT_URL,
  writeKey: process.env.RAPPORT_KEY,
  flushAt: 50,
  flushInterval: 200,
  maxRetries: 20,
})
let failed = 0
let delivered = 0
const counted = (err) => (err ? failed++ : delivered++)
analytics.on('error', (err) => console.error(err.code ?? 'error', String(err.reason ?? err)))

analytics.track({ anonymousId: `${user}-before`, event: 'Product Viewed', properties: { first: true } }, counted)
analytics.alias({ previousId: `${user}-before`, userId: user }, counted)
analytics.identify({ userId: user, traits: { email: `${user}@Mail.Example`, firstName: 'Grace', plan: 'pro', age: 36 } }, counted)
analytics.page({ userId: user, name: 'Home', properties: { url: 'https://shop.example/' } }, counted)
analytics.screen({ userId: user, name: 'Start' }, counted)
analytics.group({ userId: user, groupId: 'firm-1', traits: { name: 'Firm' } }, counted)
for (let n = 0; n < tracks; n++) {
  analytics.track({ userId: user, event: 'Order Completed', properties: { revenue: 9.5, n } }, counted)
}
await analytics.closeAndFlush({ timeout: 60_000 })
console.log(`delivered ${delivered}, failed ${failed} of ${tracks + 6}`)
process.exit(failed === 0 && delivered === tracks + 6 ? 0 : 1)
