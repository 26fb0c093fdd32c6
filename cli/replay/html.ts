import { createHash } from 'node:crypto'
import { safeJson } from '../../lambda/core/text.ts'
import type { Replay } from './result.ts'

/** What the page runs, and how it looks. */
export type PageAssets = { script: string; style: string }

/** By this a page is known for one. It is near the beginning. */
export const PAGE_MARK = '<meta name="generator" content="slotkeeper replay">'

/**
 * A replay as one HTML file, which shows it by itself and loads nothing: its policy for content allows only the
 * script and the style that are in it. Data from the server is in it as JSON alone, never as HTML.
 */
export function replayPage(replay: Replay, { script, style }: PageAssets): string {
  const policy = [
    "default-src 'none'",
    `script-src ${hashOf(script)}`,
    `style-src ${hashOf(style)}`,
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ')
  return [
    '<!doctype html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8">',
    PAGE_MARK,
    `<meta http-equiv="Content-Security-Policy" content="${policy}">`,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<meta name="referrer" content="no-referrer">',
    // A page that comes from a web server would ask it for an icon.
    '<link rel="icon" href="data:,">',
    '<title>Replay</title>',
    `<style>${style}</style>`,
    '</head>',
    '<body>',
    '<noscript>This page draws its pictures and tables with a script that is in this file. Please allow scripts for it.</noscript>',
    `<script type="application/json" id="replay">${scriptJson(replay)}</script>`,
    `<script>${script}</script>`,
    '</body>',
    '</html>',
    '',
  ].join('\n')
}

/** JSON that can't end the element that it is in, nor begin a comment there. */
const scriptJson = (value: unknown) => safeJson(value).replaceAll('<', '\\u003c')

const hashOf = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`
