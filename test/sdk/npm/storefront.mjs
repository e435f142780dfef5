// Walks through the shop of a running demo in Chromium as a new visitor does:
// chooses, looks at a coffee, signs up, reads the welcome mail in the inbox,
// leaves a full basket behind, comes back by the reminder's link, pays, and
// unsubscribes by the link at the foot. It is told where by RAPPORT_URL.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

const base = process.env.RAPPORT_URL
const email = `${process.env.RAPPORT_USER}@mail.example`
const profile = await mkdtemp(join(tmpdir(), 'shop-'))
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  headless: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
})
browser.setDefaultTimeout(30_000)
const trouble = [], outside = []
const watch = (tab) => {
  tab.on('console', (m) => m.type() === 'error' && trouble.push(m.text()))
  tab.on('pageerror', (e) => trouble.push(String(e)))
  tab.on('request', (r) => r.url().startsWith(base) || r.url() === 'about:blank' || r.url().startsWith('data:') || outside.push(r.url()))
}
browser.on('page', watch)

// read opens the newest mail with a subject in the inbox, as a person would.
async function read(subject) {
  const inbox = await browser.newPage()
  await inbox.goto(`${base}/inbox/?to=${encodeURIComponent(email)}`)
  await inbox.getByRole('link', { name: subject }).first().click() // The list looks again by itself.
  return { inbox, mail: inbox.frameLocator('iframe') }
}

try {
  const shop = await browser.newPage()
  await shop.goto(base + '/')
  await shop.getByRole('button', { name: 'Yes, both' }).click()
  await shop.getByRole('button', { name: /Yirgacheffe/ }).first().click()
  await shop.getByRole('dialog').getByRole('heading', { name: 'Yirgacheffe Washed' }).waitFor()
  await shop.keyboard.press('Escape')

  const letters = shop.locator('#signup')
  await letters.getByLabel('First name').fill('Ada')
  await letters.getByLabel('Email').fill(email)
  if (await letters.getByRole('checkbox').isChecked()) throw new Error('a yes to mails was ticked beforehand')
  await letters.getByRole('checkbox').check()
  await letters.getByRole('button', { name: 'Sign up' }).click()
  await shop.getByText('A letter is on its way').waitFor()
  await shop.locator('.toast', { hasText: 'Ada, the kettle is on' }).waitFor()
  const welcome = await read('Ada, the kettle is on')
  await welcome.mail.getByText('Good to have you, Ada.').waitFor()

  await shop.getByRole('button', { name: 'Add Huila Honey to the basket' }).click()
  const checkout = shop.locator('#checkout')
  await checkout.getByRole('checkbox').check()
  await checkout.getByRole('button', { name: 'To the payment' }).click()
  await shop.getByRole('button', { name: /^Pay/ }).waitFor()
  await shop.getByRole('button', { name: 'Close' }).last().click()

  const reminder = await read('Huila Honey waits in your basket')
  await reminder.mail.getByText('€13.50').first().waitFor()
  const [back] = await Promise.all([browser.waitForEvent('page'), reminder.mail.getByRole('link', { name: 'Back to your basket' }).click()])
  await back.getByRole('button', { name: 'Pay €13.50' }).click()
  await back.getByText(/Thank you. Order K-\w+ is in/).waitFor()
  const confirmation = await read(/^Your order K-\w+ is in$/)
  await confirmation.mail.getByText('Thank you, Ada.').waitFor()
  await confirmation.mail.getByText('€17.40').waitFor() // with what sending costs

  const [chosen] = await Promise.all([browser.waitForEvent('page'), welcome.mail.getByRole('link', { name: 'Choose what we write to you about' }).click()])
  await chosen.getByText('Kestrel Coffee').first().waitFor() // who asks
  await chosen.getByText('Basket reminders').first().waitFor()

  const [leaving] = await Promise.all([browser.waitForEvent('page'), welcome.mail.getByRole('link', { name: 'Unsubscribe' }).click()])
  await leaving.getByRole('button', { name: /unsubscribe/i }).click()
  await leaving.getByText('You are unsubscribed').first().waitFor()

  console.log(JSON.stringify({ email, calls: Number(await shop.locator('#said').textContent()), trouble, outside }))
  if (trouble.length || outside.length) throw new Error([...trouble, ...outside].join('\n'))
} finally {
  await browser.close()
  await rm(profile, { recursive: true, force: true })
}
