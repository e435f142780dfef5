// Speaks to a running Rapport through @rudderstack/rudder-sdk-node, which packs
// its batches with gzip. It ends with 0 once everything is delivered.
import { createRequire } from 'node:module'

const loaded = createRequire(import.meta.url)('@rudderstack/rudder-sdk-node')
const Analytics = loaded.default ?? loaded
const user = process.env.RAPPORT_USER
const tracks = Number(process.env.RAPPORT_TRACKS)
const analytics = new Analytics(process.env.RAPPORT_KEY, {
  dataPlaneUrl: process.env.RAPPORT_URL, flushAt: 50, flushInterval: 200, logLevel: 'error', retryCount: 10,
  errorHandler: () => {}, // Each call is told what became of it.
})
let failed = 0
const calls = []
const call = (method, message) => calls.push(new Promise((done) => analytics[method](message, (err) => { if (err) failed++; done() })))

call('track', { anonymousId: `${user}-before`, event: 'Product Viewed', properties: { first: true } })
call('alias', { previousId: `${user}-before`, userId: user })
call('identify', { userId: user, traits: { email: `${user}@Mail.Example`, firstName: 'Grace', plan: 'pro', age: 36 } })
call('page', { userId: user, name: 'Home', properties: { url: 'https://shop.example/' } })
call('screen', { userId: user, name: 'Start' })
call('group', { userId: user, groupId: 'firm-1', traits: { name: 'Firm' } })
for (let n = 0; n < tracks; n++) call('track', { userId: user, event: 'Order Completed', properties: { revenue: 9.5, n } })
await Promise.all(calls)
console.log(`failed ${failed} of ${calls.length}`)
process.exit(failed === 0 ? 0 : 1)
