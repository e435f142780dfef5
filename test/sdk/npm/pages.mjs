// Reads the pages for readers of a running demo in Chromium: subscribes without
// JavaScript, confirms, chooses, in English and German; then holds each page
// against WCAG 2.2 AA with axe, light and dark, wide and narrow. Pictures of them
// go to RAPPORT_PICTURES, where that is set. It is told where by RAPPORT_URL, and by RAPPORT_KEY
// the operator's key.
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

const base = process.env.RAPPORT_URL
const email = `${process.env.RAPPORT_USER}@mail.example`
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const pictures = process.env.RAPPORT_PICTURES
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  headless: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
})
const trouble = [], seen = []

// open makes a reader's browser; with a script switched off it is one that runs none.
const open = (more) => browser.newContext({ reducedMotion: 'reduce', ...more }).then((c) => { c.setDefaultTimeout(30_000); return c })

try {
  const plain = await open({ javaScriptEnabled: false, locale: 'de-DE' })
  const page = await plain.newPage()
  await page.goto(base + '/subscribe')
  await page.getByRole('button', { name: 'Link zusenden' }).waitFor()
  await page.getByLabel('Ihre E-Mail-Adresse').fill(email)
  await page.getByRole('button', { name: 'Link zusenden' }).click()
  await page.getByRole('alert').getByText('mindestens eines').waitFor()
  await page.getByLabel('Neues aus der Rösterei').check()
  await page.getByRole('button', { name: 'Link zusenden' }).click()
  await page.getByRole('heading', { name: 'Sehen Sie in Ihr Postfach' }).waitFor()

  const box = await open({})
  const inbox = await box.newPage()
  await inbox.goto(`${base}/inbox/?to=${encodeURIComponent(email)}`)
  await inbox.getByRole('link', { name: 'Bitte bestätigen Sie Ihre Adresse' }).first().click()
  const link = await inbox.frameLocator('iframe').getByRole('link', { name: 'Adresse bestätigen' }).getAttribute('href')
  if (await inbox.frameLocator('iframe').locator('img').count()) throw new Error('the mail that asks has a picture in it')

  await page.goto(link)
  await page.getByRole('heading', { name: 'Ist das Ihre Adresse?' }).waitFor()
  const pages = { subscribe: base + '/subscribe?lang=en', ask: link + '?lang=en' }
  await audit(pages) // while the button may still be pressed

  await page.getByRole('button', { name: 'Ja, bestätigen' }).click()
  await page.getByRole('heading', { name: 'Danke, es ist bestätigt' }).waitFor()
  await page.getByRole('link', { name: 'Alle E-Mail-Einstellungen ansehen' }).click()
  const news = page.getByRole('switch', { name: 'Neues aus der Rösterei' })
  const own = new URL(page.url())
  for (let tries = 0; !(await news.isChecked()); tries++) { // A yes holds once it is walked.
    if (tries === 200) throw new Error('the confirmed newsletter is off')
    await page.goto(own.href)
  }
  await page.getByText('Was Sie wann gesagt haben').click()
  await page.getByText('Sie haben zugestimmt und es bestätigt').waitFor()
  await page.getByRole('switch', { name: 'Merken, dass Sie eine E-Mail geöffnet haben' }).focus()
  await page.keyboard.press('Space') // by keyboard alone
  await page.getByRole('button', { name: 'Speichern' }).press('Enter')
  await page.getByRole('status').getByText('Gespeichert').waitFor()
  await page.getByRole('link', { name: 'English' }).click()
  await page.getByRole('heading', { name: 'Email preferences' }).waitFor()
  const receipts = await plain.request.get(base + own.pathname + '/receipts')
  const given = (await receipts.json()).list.length
  if (!given) throw new Error('there are no receipts')

  const signal = await open({ javaScriptEnabled: false, extraHTTPHeaders: { 'Sec-GPC': '1' }, locale: 'en' })
  const signalled = await signal.newPage()
  await signalled.goto(base + own.pathname)
  await signalled.getByText('We honour it').first().waitFor()
  await signalled.goto(base + '/privacy-signal')
  await signalled.getByText('and we honour it').waitFor()

  const notice = await page.getByRole('link', { name: /News from the roastery \(version/ }).getAttribute('href')
  await audit({
    preferences: base + own.pathname + '?lang=en', einstellungen: base + own.pathname + '?lang=de', notice: base + notice,
    used: link + '?lang=en', signal: base + '/privacy-signal', broken: base + '/p/nothing',
  })

  // A copy of the data, and then the end of them: each by a link that is mailed.
  const claimed = new Set()
  const claim = async (button, subject, name) => {
    await page.goto(`${base}${own.pathname}?lang=de`)
    await page.getByRole('button', { name: button }).click()
    await page.getByRole('heading', { name: 'Sehen Sie in Ihr Postfach' }).waitFor()
    for (let tries = 0; tries < 200; tries++) { // The mail before it has the same subject.
      await inbox.goto(`${base}/inbox/?to=${encodeURIComponent(email)}`)
      await inbox.getByRole('link', { name: subject }).first().click()
      const link = await inbox.frameLocator('iframe').locator('a').first().getAttribute('href')
      if (claimed.has(link)) continue
      claimed.add(link)
      return inbox.frameLocator('iframe').getByRole('link', { name }).getAttribute('href')
    }
    throw new Error(`no mail came for ${button}`)
  }
  const copy = await claim('Meine Daten herunterladen', 'Ihre Daten bei', 'Meine Daten')
  await page.goto(copy)
  await page.getByRole('heading', { name: 'Ihre Daten' }).waitFor()
  await audit({ copy: copy + '?lang=en' })
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Als Seite zum Lesen herunterladen' }).click()])
  if (!(await readFile(await download.path(), 'utf8')).includes(email)) throw new Error('the copy does not hold the address')
  // What is wrong is put right, and nothing is used any more, until that is lifted.
  const told = await fetch(`${base}/v1/people/email:${encodeURIComponent(email)}/correct`, {
    method: 'POST', headers: { 'Content-Type': 'application/json', 'Idempotency-Key': 'details', Authorization: `Bearer ${process.env.RAPPORT_KEY}` },
    body: JSON.stringify({ traits: { first_name: 'Mira', last_name: 'Sample', cups: 3, decaf: false, beans: ['washed'] } }),
  })
  if (!told.ok) throw new Error(`details: ${told.status} ${await told.text()}`)
  const wrong = await claim('Meine Daten berichtigen', 'Ihre Daten bei', 'Meine Daten')
  await page.goto(wrong)
  await page.getByRole('heading', { name: 'Was ist falsch?' }).waitFor()
  await page.getByRole('button', { name: 'Absenden' }).click()
  await page.getByRole('alert').getByText('Bitte ändern Sie etwas').waitFor()
  await audit({ correct: wrong + '?lang=en' })
  await page.getByLabel('first name').fill('Mirabel')
  await page.getByLabel('decaf').selectOption('Ja')
  await page.getByLabel('cups').fill('drei')
  await page.getByRole('button', { name: 'Absenden' }).click()
  await page.getByRole('alert').getByText('Eine Zahl muss eine Zahl bleiben').waitFor()
  if (await page.getByLabel('first name').inputValue() !== 'Mirabel' || await page.getByLabel('cups').getAttribute('aria-invalid') !== 'true') throw new Error('what was written is lost')
  await page.getByLabel('cups').fill('4')
  await page.getByLabel('Was sonst falsch ist').fill('Die Rechnung war nie meine.')
  await page.getByRole('button', { name: 'Absenden' }).press('Enter')
  await page.getByRole('status').getByText('Sie hören von uns spätestens bis').waitFor()
  const halt = await claim('Meine Daten nicht mehr verwenden', 'Ihre Daten bei', 'Bestätigen …')
  await page.goto(halt)
  await page.getByRole('heading', { name: 'Ihre Daten nicht mehr verwenden?' }).waitFor()
  await audit({ restrict: halt + '?lang=en' })
  await page.getByRole('button', { name: 'Meine Daten nicht mehr verwenden' }).click()
  await page.getByRole('heading', { name: 'Ihre Daten werden nicht mehr verwendet' }).waitFor()
  await audit({ restricted: base + own.pathname + '?lang=en' })
  const lift = await claim('Meine Daten wieder verwenden lassen', 'Ihre Daten bei', 'Bestätigen …')
  await page.goto(lift)
  await page.getByRole('heading', { name: 'Ihre Daten wieder verwenden lassen?' }).waitFor()
  await audit({ lift: lift + '?lang=en' })
  await page.getByRole('button', { name: 'Meine Daten wieder verwenden' }).click()
  await page.getByRole('heading', { name: 'Ihre Daten werden wieder verwendet' }).waitFor()
  const end = await claim('Mich löschen', 'Ihre Daten bei', 'Löschen …')
  await page.goto(end)
  await page.getByRole('heading', { name: 'Alles über Sie löschen?' }).waitFor()
  await audit({ erase: end + '?lang=en', asked: base + own.pathname + '?lang=en' })
  await page.getByRole('button', { name: 'Mich löschen' }).click()
  await page.getByRole('heading', { name: 'Sie wurden gelöscht' }).waitFor()
  await audit({ erased: end + '?lang=en' })
  console.log(JSON.stringify({ pages: seen.length, receipts: given, trouble }))
  if (trouble.length) throw new Error(trouble.join('\n'))
} finally {
  await browser.close()
}

// audit holds pages against the rules of WCAG 2.0 to 2.2, levels A and AA.
async function audit(pages) {
  for (const colorScheme of ['light', 'dark']) for (const width of [1100, 360]) {
    const reader = await open({ colorScheme, viewport: { width, height: 900 } })
    const tab = await reader.newPage()
    tab.on('console', (m) => m.type() === 'error' && !/404/.test(m.text()) && trouble.push(m.text()))
    for (const [name, url] of Object.entries(pages)) {
      await tab.goto(url)
      for (const d of await tab.locator('summary').all()) await d.click()
      const wide = await tab.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
      if (wide > 0) trouble.push(`${name} ${colorScheme} ${width}: ${wide} pixels stick out`)
      await tab.evaluate(axe)
      const found = await tab.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }))
      if (!found.passes.length) trouble.push(`${name}: axe checked nothing`)
      for (const v of found.violations) for (const n of v.nodes) trouble.push(`${name} ${colorScheme} ${width}: ${v.id}: ${n.html.slice(0, 120)}: ${n.failureSummary}`)
      seen.push(name)
      if (pictures) await tab.screenshot({ path: join(pictures, `${name}-${colorScheme}-${width}.png`), fullPage: true })
    }
    await reader.close()
  }
}
