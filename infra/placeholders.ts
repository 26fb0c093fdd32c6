/** Placeholders as documents use them: letters, an id of zeros, words, reserved domains (RFC 2606). */
const FORMS = [
  /xxxx|[<>…]|\.\.\./i,
  /^(vpc|subnet|sg)-0+$/,
  /EXAMPLE|^HOST(NAME)?$/,
  /@your-|(^|\.)your-(db|database|server|host|instance|cluster|endpoint)\./i,
  /(^|[.@])(example|invalid|test|example\.(com|net|org))\.?$/i,
]

/** Whether a text is a placeholder: no real server, secret or network has such a name. */
export function isPlaceholder(text: string): boolean {
  return FORMS.some((form) => form.test(text))
}
