import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PolicyResult, ReplayReport } from '../../cli/replay/result.ts'
import { type Frame, writeFrame } from '../../lambda/core/recording.ts'
import {
  browserPath,
  type OpenPage,
  openFile,
  readTable,
  startBrowser,
} from '../support/browser.ts'
import { runBuilt } from '../support/built.ts'
import { frames, type Script } from '../support/frames.ts'
import { HOSTILE, names, readNumber, scripts, shown, tablesOf } from '../support/replay-tables.ts'

if (browserPath === undefined) {
  process.stderr.write(
    "replay-page.test.ts: no browser is here (Debian's chromium), so the page is not looked at\n",
  )
}

const folder = mkdtempSync(join(tmpdir(), 'slotkeeper-page-'))
afterAll(() => rmSync(folder, { recursive: true }))

function file(name: string, content: string): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

const recording = (name: string, all: Frame[]) =>
  file(name, `${all.flatMap(writeFrame).join('\n')}\n`)

const policyOf = (name: string, rules: object[]) => file(name, JSON.stringify({ rules }))

const target = '<i>shop</i>'
const hour = recording(
  'hour.jsonl',
  frames(60, 3_600, scripts).map((frame) => ({ ...frame, target })),
)
const hasty = policyOf('<img src=y onerror=1>.json', [
  { name: '<u>stale</u>', state: 'idle', olderThan: '10m' },
])
const patient = policyOf('patient.json', [
  { name: 'crowd', state: 'idle', olderThan: '150s', when: { idleOver: 1_000 } },
  { name: 'stale', state: 'idle', olderThan: '20m' },
])
const both = ['--policy', hasty, '--policy', patient]

/** Writes a page, and returns its file and what `--json` says of the same. */
async function replay(name: string, args: string[]): Promise<[string, ReplayReport]> {
  const out = join(folder, name)
  const { code, out: json, err } = await runBuilt(['replay', ...args, '--html', out, '--json'])
  expect(err).toMatch(/^slotkeeper: the page is in .* kB\): open it in a browser\n$/)
  expect(code).toBe(0)
  return [out, JSON.parse(json) as ReplayReport]
}

/** What a script in the page evaluates to. */
const evaluate = <T>(page: Page, script: string) => page.evaluate(script) as Promise<T>
const count = (page: Page, selector: string) => page.locator(selector).count()

describe.skipIf(browserPath === undefined)('the page', () => {
  let browser: Awaited<ReturnType<typeof startBrowser>>
  let report: ReplayReport
  let out: string
  let opened: OpenPage
  let page: Page
  beforeAll(async () => {
    ;[browser, [out, report]] = await Promise.all([
      startBrowser(),
      replay('hour.html', [hour, ...both]),
    ])
    opened = await openFile(browser.context, out)
    page = opened.page
    await page.locator('.gaps').first().waitFor()
  })
  afterAll(() => browser.close())

  test('has regrets, undecided sessions and differences to show', () => {
    const [first, second] = report.policies
    expect(first?.regretted).toBeGreaterThan(10)
    expect(first?.undecided).toBeGreaterThan(0)
    expect(second?.regretted).toBe(0)
    expect(report.difference?.onlyFirst).toBeGreaterThan(0)
    expect(report.difference?.both).toBeGreaterThan(0)
  })

  test('shows in its tables, cell by cell, what --json has', async () => {
    const tables = tablesOf(report)
    expect(tables).toHaveLength(10)
    for (const [heading, expected] of tables) {
      const rows = await readTable(page, heading)
      const values = rows.map((row) => row.map(({ value }) => value))
      expect(values, heading).toEqual(expected.map((row) => row.map(String)))
      const numbers = rows.map((row, index) =>
        row.filter((_, column) => typeof expected[index]?.[column] === 'number'),
      )
      for (const { text, value } of numbers.flat()) expect(readNumber(text)).toBe(Number(value))
      // A time is shown to the second, in UTC.
      for (const { text, value } of rows.flat().filter(({ value }) => value.endsWith('Z'))) {
        expect(text).toBe(value.slice(0, 19).replace('T', ' '))
      }
    }
  })

  test('shows the policies side by side, the counts of their difference, and each caveat', async () => {
    const cells = await page
      .locator('#side-by-side tbody tr')
      .evaluateAll((rows) =>
        (rows as unknown as { cells: Iterable<{ textContent: string }> }[]).map((row) =>
          [...row.cells].slice(1).map(({ textContent }) => textContent),
        ),
      )
    const { policies, difference, caveats } = report
    const row = (of: (policy: PolicyResult) => number) => policies.map(of).map(String)
    const bothWays = (key: 'peakUsedPercent' | 'meanUsedPercent' | 'fullMinutes') => [
      String(policies[0]?.[key].recorded),
      ...row((policy) => policy[key].replayed),
    ]
    expect(cells).toEqual([
      ['–', ...row(({ wouldReap }) => wouldReap)],
      ['–', ...row(({ regretted }) => regretted)],
      ['–', ...row(({ undecided }) => undecided)],
      ['–', ...row((p) => p.wouldReap - p.regretted - p.undecided)],
      bothWays('peakUsedPercent'),
      bothWays('meanUsedPercent'),
      bothWays('fullMinutes'),
    ])
    expect(await page.locator('.counts data').allTextContents()).toEqual(
      [difference?.both, difference?.onlyFirst, difference?.onlySecond].map(String),
    )
    expect(await page.locator('#caveats li').allTextContents()).toEqual(caveats)
    expect(await page.locator('.verdict').allTextContents()).toEqual([
      `✕${policies[0]?.regretted} regrets`,
      `?No regret seen, ${policies[1]?.undecided} undecided`,
    ])
    expect(await page.locator('#verdict .about').textContent()).toContain('B has no regret')
  })

  test('asks no other host, and would not be allowed to', async () => {
    let asked = 0
    const server = createServer((_, response) => {
      asked += 1
      response.setHeader('access-control-allow-origin', '*').end('yes')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
    expect(opened.requests).toEqual([page.url()])
    expect(opened.complaints).toEqual([])
    const attempt = await openFile(browser.context, out)
    const answer = await evaluate(
      attempt.page,
      `new Promise((resolve) => {
        const image = new Image()
        image.onload = image.onerror = () =>
          fetch('${url}').then(() => resolve('reached'), () => resolve('blocked'))
        image.src = '${url}image'
      })`,
    )
    expect(answer).toBe('blocked')
    expect(attempt.complaints.join('\n')).toContain('Content Security Policy')
    expect(asked).toBe(0)
    await attempt.page.close()
    server.close()
  })

  test('takes hostile names for text', async () => {
    expect(await evaluate(page, 'window.owned')).toBeUndefined()
    expect(await page.title()).toBe(`Replay of ${target}`)
    expect(await page.locator('h1').textContent()).toBe(`Replay of ${target}`)
    // No name became an element, and no element has a handler or a style from a name.
    for (const selector of ['img', 'b', 'i', 'u', '[onerror]', '[onload]', 'body script']) {
      expect(await count(page, selector), selector).toBe(0)
    }
    const text = (await page.locator('main').textContent()) ?? ''
    for (const name of HOSTILE) expect(text).toContain(shown(name))
    expect(text).not.toMatch(/[\p{Cc}\p{Cf}\u2028\u2029]/u)
    expect(await page.locator('.card h3').first().textContent()).toBe(`A${hasty}`)
  })

  test('gives each picture a text and a table with the same numbers', async () => {
    const pictures = page.locator('[role=img]')
    // The pool that was always busy has no gap to draw.
    expect(await pictures.count()).toBe(4)
    for (const picture of await pictures.all()) {
      const id = await picture.getAttribute('aria-labelledby')
      expect(await page.locator(`#${id}`).textContent()).toMatch(/\d+ (of|gaps?) /)
    }
    for (const summary of await page.locator('figure summary').all()) await summary.click()

    const slots = await readTable(page, 'Slots over time')
    const sum = (column: number) =>
      slots.reduce((total, row) => total + Number(row[column]?.value), 0)
    const most = (column: number) => Math.max(...slots.map((row) => Number(row[column]?.value)))
    const [a, b] = report.policies as [PolicyResult, PolicyResult]
    expect(slots).toHaveLength(report.snapshots)
    expect(slots[0]?.[0]?.value).toBe(report.from)
    expect([sum(4), sum(5)]).toEqual([a.wouldReap, a.regretted])
    expect([sum(7), sum(8)]).toEqual([b.wouldReap, b.regretted])
    const percent = (used: number) => Math.round((used / 97) * 1000) / 10
    expect(percent(most(2))).toBe(a.peakUsedPercent.recorded)
    expect([percent(most(3)), percent(most(6))]).toEqual([
      a.peakUsedPercent.replayed,
      b.peakUsedPercent.replayed,
    ])
    expect(await page.locator('#slots figcaption').textContent()).toContain(
      `With A, at most ${most(3)}: it ends ${a.wouldReap} sessions, and ${a.regretted} of them are used again.`,
    )

    const [pool] = report.pools as [ReplayReport['pools'][number]]
    const heading = names(pool).join(' · ')
    const bars = await readTable(page, `Gaps by length: ${heading}`)
    const total = (column: number) => bars.reduce((all, row) => all + Number(row[column]?.value), 0)
    expect({ used: total(2), ended: total(3), undecided: total(4) }).toEqual(pool.gaps)
    const figure = page.locator('figure', { has: page.getByRole('heading', { name: heading }) })
    const drawn = await figure.locator('.bar title').allTextContents()
    expect(drawn).toHaveLength(
      bars.flatMap((row) => row.slice(2)).filter(({ value }) => value !== '0').length,
    )
  })

  test('draws what the numbers say: bars of regrets right of the limit, in the pool that comes back', async () => {
    const filter = page.getByRole('searchbox', { name: 'pictures of pools' })
    await filter.fill('worker@')
    const figure = page.locator('.pictures figure')
    expect(await figure.count()).toBe(1)
    await figure.locator('.gaps').waitFor()
    const lines = await figure.locator('.limit text').allTextContents()
    const { gaps, safeOlderThan } = report.pools.find(({ user }) => user === 'worker') ?? {}
    expect(lines).toEqual([
      'B 2m 30s, at times: 14 used again',
      'A 10m: 12 used again',
      `safe from ${safeOlderThan}`,
      'B 20m: 0 used again',
    ])
    const right = await figure
      .locator('.used .regret')
      .evaluateAll((bars) => bars.map((bar) => Number(bar.getAttribute('x'))))
    const limit = Number(await figure.locator('.limit line').nth(1).getAttribute('x1'))
    expect(right.length).toBeGreaterThan(0)
    for (const x of right) expect(x).toBeGreaterThanOrEqual(limit)
    expect(gaps?.used).toBe(16)
    await filter.fill('')
    // The chart of slots is not blank.
    expect(
      await evaluate<number>(
        page,
        `(() => { const c = document.querySelector('#slots canvas')
        return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.filter(Boolean).length })()`,
      ),
    ).toBeGreaterThan(1_000)
  })

  test('is used by keyboard: sort, filter, show more, read a moment', async () => {
    const heading = 'Regrets of A: ended, but used again later'
    const keyboard = await openFile(browser.context, out)
    const region = keyboard.page.getByRole('region', { name: heading, exact: true })
    const column = async (index: number) =>
      (await readTable(keyboard.page, heading)).map((row) => row[index]?.value)
    const pids = report.policies[0]?.regrets.map(({ pid }) => pid) as number[]

    await region.getByRole('button', { name: 'pid' }).focus()
    await keyboard.page.keyboard.press('Enter')
    expect(await column(0)).toEqual(pids.toSorted((a, b) => b - a).map(String))
    await keyboard.page.keyboard.press('Space')
    expect(await column(0)).toEqual(pids.toSorted((a, b) => a - b).map(String))
    expect(await region.locator('[aria-sort]').getAttribute('aria-sort')).toBe('ascending')
    await keyboard.page.keyboard.press('Tab')
    await keyboard.page.keyboard.press('Enter')
    expect(await region.locator('[aria-sort]').textContent()).toBe('user@database')
    // What has the focus is visibly so.
    expect(
      await evaluate(keyboard.page, 'getComputedStyle(document.activeElement).outlineStyle'),
    ).toBe('solid')

    await keyboard.page.getByRole('searchbox', { name: heading }).focus()
    await keyboard.page.keyboard.type('WORKER@')
    expect((await column(1)).every((name) => name === 'worker@shop')).toBe(true)
    const workers = report.policies[0]?.regrets.filter(({ user }) => user === 'worker').length
    expect(
      await keyboard.page.locator('.data', { has: region }).getByRole('status').textContent(),
    ).toBe(`${workers} of ${workers} rows that match, of ${pids.length}`)

    await keyboard.page.getByRole('slider', { name: 'Time' }).focus()
    await keyboard.page.keyboard.press('Home')
    for (let step = 0; step < 3; step += 1) await keyboard.page.keyboard.press('ArrowRight')
    expect(await keyboard.page.locator('.readout').textContent()).toContain(
      '2026-01-01 00:03:00 UTC',
    )
    expect(
      await keyboard.page.getByRole('slider', { name: 'Time' }).getAttribute('aria-valuetext'),
    ).toBe(await keyboard.page.locator('.readout').textContent())
    expect(keyboard.complaints).toEqual([])
    await keyboard.page.close()
  })

  test('everything that reacts is reached by Tab and has a name', async () => {
    const nameless = await evaluate<string[]>(
      page,
      `[...document.querySelectorAll('button, input, summary, a, [tabindex]')]
        .filter((e) => e.tabIndex < 0 || !(e.textContent.trim() || e.labels?.[0]?.textContent.trim() || e.getAttribute('aria-label')))
        .map((e) => e.outerHTML.slice(0, 100))`,
    )
    expect(nameless).toEqual([])
  })

  describe.each([
    [360, 740],
    [1_024, 768],
    [1_600, 1_000],
  ])('at %i x %i', (width, height) => {
    test.each(['light', 'dark'] as const)('%s: fits and can be read', async (colorScheme) => {
      await page.setViewportSize({ width, height })
      await page.emulateMedia({ colorScheme })
      const [scroll, client] = await evaluate<number[]>(
        page,
        '[document.documentElement.scrollWidth, document.documentElement.clientWidth]',
      )
      expect(scroll).toBe(client)
      const [ink, paper] = await evaluate<[string, string]>(
        page,
        '(({ color, backgroundColor }) => [color, backgroundColor])(getComputedStyle(document.body))',
      )
      expect(luminance(ink) < luminance(paper)).toBe(colorScheme === 'light')
      expect(contrast(ink, paper)).toBeGreaterThan(7)
      // Each colour that says something differs enough from the paper.
      const colours = await evaluate<string[]>(
        page,
        `['soft', 'regret', 'ended', 'good', 'policy-0', 'policy-1', 'policy-2', 'policy-3', 'policy-4', 'policy-5']
          .map((name) => getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim())`,
      )
      for (const colour of colours)
        expect(contrast(hex(colour), paper), colour).toBeGreaterThan(4.5)
      // The pictures follow the width.
      const widths = await evaluate<number[]>(
        page,
        `[...document.querySelectorAll('#slots .canvas, #slots .uplot')].map((e) => Math.floor(e.getBoundingClientRect().width))`,
      )
      expect(Math.max(...widths)).toBeLessThanOrEqual(width)
    })
  })

  test('prints on white, without what only a screen can do', async () => {
    await page.emulateMedia({ media: 'print', colorScheme: 'dark' })
    await page.setViewportSize({ width: 700, height: 1_000 })
    expect(await page.getByRole('navigation').isVisible()).toBe(false)
    expect(await page.getByRole('slider').isVisible()).toBe(false)
    expect(await evaluate(page, 'getComputedStyle(document.body).backgroundColor')).toBe(
      'rgb(255, 255, 255)',
    )
    await page.emulateMedia({ media: 'screen' })
  })

  test('stays usable with 1,000 pools and 10,000 regrets', async () => {
    const crowd = Array.from(
      { length: 1_000 },
      (_, index): Script => ({
        pid: 2 + index,
        opens: 0,
        uses: Array.from({ length: 12 }, (_, use) => 30 + use * 300),
        is: { application: `app-${String(index).padStart(4, '0')}` },
      }),
    )
    const many = recording(
      'many.jsonl',
      frames(60, 3_600, crowd, { slots: { max: 2_000, reserved: 3 } }),
    )
    const eager = policyOf('eager.json', [{ name: 'eager', state: 'idle', olderThan: '2m' }])
    const [large, { policies }] = await replay('many.html', [
      many,
      '--policy',
      eager,
      '--policy',
      patient,
    ])
    const crowded = await openFile(browser.context, large)
    await crowded.page.locator('.gaps').first().waitFor()
    expect(policies[0]?.regretted).toBeGreaterThan(10_000)
    expect(await count(crowded.page, '*')).toBeLessThan(10_000)
    expect(await crowded.page.locator('#policy-0 .about').textContent()).toBe(
      `Only the first 10,000 of ${policies[0]?.regretted.toLocaleString('en-US')} regrets are listed.`,
    )
    const heading = 'Regrets of A: ended, but used again later'
    const region = crowded.page.getByRole('region', { name: heading, exact: true })
    const status = crowded.page.locator('.data', { has: region }).getByRole('status')
    expect(await status.textContent()).toBe('25 of 10,000 rows')
    await crowded.page.getByRole('searchbox', { name: heading }).fill('app-0999')
    expect(await status.textContent()).toMatch(/^\d+ of \d+ rows that match, of 10,000$/)
    await crowded.page.getByRole('searchbox', { name: 'pictures of pools' }).fill('app-0500')
    expect(await count(crowded.page, '.pictures figure')).toBe(1)
    expect(crowded.complaints).toEqual([])
    await crowded.page.close()
  })

  test('without a policy, or of one snapshot, shows what there is', async () => {
    const [bare] = await replay('bare.html', [hour])
    const [single] = await replay('single.html', [
      recording('single.jsonl', frames(60, 0, scripts)),
      '--policy',
      hasty,
    ])
    for (const [written, said] of [
      [bare, 'No policy was replayed.'],
      [single, 'No policy here ends sessions without a regret.'],
    ] as const) {
      const { page: other, complaints } = await openFile(browser.context, written)
      await other.locator('#slots canvas').first().waitFor()
      expect(await other.locator('#verdict .about').textContent()).toContain(said)
      expect(await count(other, '#pools tbody tr')).toBeGreaterThan(0)
      expect(complaints).toEqual([])
      await other.close()
    }
  })
})

type Rgb = [number, number, number]

const rgb = (css: string) => (css.match(/\d+/g) ?? []).slice(0, 3).map(Number) as Rgb
const hex = (colour: string) =>
  `rgb(${[1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16)).join(', ')})`

/** Relative luminance and contrast as WCAG 2 defines them. */
function luminance(css: string): number {
  const [red, green, blue] = rgb(css).map((value) => {
    const part = value / 255
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
  }) as Rgb
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}

function contrast(a: string, b: string): number {
  const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y) as [number, number]
  return (light + 0.05) / (dark + 0.05)
}
