/** What stands for something else in documents: letters, an id of zeros, words, domains (RFC 2606). */
const FORMS = [
  /xxxx|[<>…]|\.\.\./i,
  /^(vpc|subnet|sg)-0+$/,
  /EXAMPLE|^HOST(NAME)?$/,
  /@your-|(^|\.)your-(db|database|server|host|instance|cluster|endpoint)\./i,
  /(^|[.@])(example|invalid|test|example\.(com|net|org))\.?$/i,
]

/** Whether a text is one that documents use, and that no server, secret or network is called. */
export function isPlaceholder(text: string): boolean {
  return FORMS.some((form) => form.test(text))
}
