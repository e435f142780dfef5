// Speaks to a running Rapport through @jitsu/js on a server, one request for each
// event.
import { createRequire } from 'node:module'

const { jitsuAnalytics } = createRequire(import.meta.url)('@jitsu/js')
const user = process.env.RAPPORT_USER
const tracks = Number(process.env.RAPPORT_TRACKS)
const analytics = jitsuAnalytics({ host: process.env.RAPPORT_URL, writeKey: `${process.env.RAPPORT_KEY}:secret`, s2s: true, fetch })
analytics.setAnonymousId(`${user}-before`)
await analytics.track('Product Viewed', { first: true })
await analytics.identify(user, { email: `${user}@Mail.Example`, firstName: 'Grace', plan: 'pro', age: 36 })
await analytics.page('Home', { url: 'https://shop.example/' })
await analytics.group('firm-1', { name: 'Firm' })
for (let n = 0; n < tracks; n++) await analytics.track('Order Completed', { revenue: 9.5, n })
