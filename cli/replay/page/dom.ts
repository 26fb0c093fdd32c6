type Child = Node | string

/**
 * Makes an element. Its children are elements or text. No text becomes markup, so that a name from a server stays
 * what it is.
 */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Record<string, string> = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
  made.append(...children)
  return made
}

export function svg<Tag extends keyof SVGElementTagNameMap>(
  tag: Tag,
  attributes: Record<string, string | number> = {},
  ...children: Child[]
): SVGElementTagNameMap[Tag] {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value))
  made.append(...children)
  return made
}

let lastId = 0

/** An id that no other element of the page has. */
export function newId(): string {
  lastId += 1
  return `id-${lastId}`
}

/** A part of the page that can be opened. Its content is made when it is opened for the first time. */
export function disclosure(summary: string, content: () => Node): HTMLDetailsElement {
  const made = element('details', {}, element('summary', {}, summary))
  made.addEventListener('toggle', () => made.append(content()), { once: true })
  return made
}

/** Calls `draw` with the width of the element, now and whenever it changes. */
export function onWidth(target: Element, draw: (width: number) => void): void {
  let last = 0
  new ResizeObserver(() => {
    const width = Math.floor(target.clientWidth)
    if (width === last || width === 0) return
    last = width
    draw(width)
  }).observe(target)
}
