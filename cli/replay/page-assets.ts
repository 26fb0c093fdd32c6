import { text as script } from 'page:script'
import { text as style } from 'page:style'
import type { PageAssets } from './html.ts'

/** The script and the style of a page, which build.ts makes of the sources in page/. */
export const pageAssets: PageAssets = { script, style }
