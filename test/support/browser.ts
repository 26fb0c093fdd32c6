import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type BrowserContext, chromium, type Page } from 'playwright-core'

/** The browser of this machine; undefined where there is none. */
export const browserPath = ['/usr/bin/chromium', '/usr/bin/google-chrome'].find(existsSync)

// What a browser does of its own accord must not be taken for a request of the page.
const FLAGS =
  '--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync'

/** A browser without a window, in a time zone that is far from UTC. */
export async function startBrowser(): Promise<{ context: BrowserContext; close(): Promise<void> }> {
  const profile = mkdtempSync(join(tmpdir(), 'slotkeeper-browser-'))
  const context = await chromium.launchPersistentContext(profile, {
    ...(browserPath !== undefined && { executablePath: browserPath }),
    args: FLAGS.split(' '),
    env: { PATH: process.env.PATH ?? '', HOME: profile },
    timezoneId: 'Asia/Kolkata',
    viewport: { width: 1_024, height: 768 },
  })
  return {
    context,
    async close() {
      await context.close()
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

/** A page that is open, and what it did that it should not do. */
export type OpenPage = { page: Page; requests: string[]; complaints: string[] }

export async function openFile(context: BrowserContext, file: string): Promise<OpenPage> {
  const page = await context.newPage()
  const requests: string[] = []
  const complaints: string[] = []
  page.on('request', (request) => requests.push(request.url()))
  page.on('console', (message) => complaints.push(message.text()))
  page.on('pageerror', (error) => complaints.push(error.message))
  await page.goto(pathToFileURL(file).href)
  return { page, requests, complaints }
}

/** What a cell shows, and what the report has in its place. */
export type ShownCell = { text: string; value: string }

/** All rows of a table, by its heading. Opens what is not shown yet. */
export async function readTable(page: Page, heading: string): Promise<ShownCell[][]> {
  const table = page.getByRole('region', { name: heading, exact: true })
  const more = page.locator('.data', { has: table }).getByRole('button', { name: /^Show .* more$/ })
  while (await more.isVisible()) await more.click()
  return table.locator('tbody tr').evaluateAll((rows) =>
    (rows as unknown as { cells: Iterable<Cell> }[]).map((row) =>
      [...row.cells].map((cell) => ({
        text: cell.textContent,
        value:
          cell.querySelector('data')?.getAttribute('value') ??
          cell.querySelector('time')?.getAttribute('datetime') ??
          cell.textContent,
      })),
    ),
  )
}

/** As much of the DOM as is used here. */
type Cell = {
  textContent: string
  querySelector(name: string): { getAttribute(name: string): string | null } | null
}
