// A name server for one process: names that the file in TEST_NAMES lists resolve to its addresses, as in
// /etc/hosts, and no other name resolves. Load it with `node --import`. It is read at each look-up, so names
// can move.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const dns = createRequire(import.meta.url)('node:dns')
const asBefore = dns.lookup

dns.lookup = (name, options, callback = options) => {
  const { all = false } = typeof options === 'object' ? options : {}
  const isAddress = /^[\d.]+$|:/.test(name) || name === 'localhost'
  if (isAddress) return asBefore(name, options, callback)
  const address = JSON.parse(readFileSync(process.env.TEST_NAMES, 'utf8'))[name.toLowerCase()]
  if (address === undefined) {
    const error = new Error(`getaddrinfo ENOTFOUND ${name}`)
    Object.assign(error, {
      code: 'ENOTFOUND',
      errno: -3008,
      syscall: 'getaddrinfo',
      hostname: name,
    })
    return process.nextTick(callback, error)
  }
  if (all) return process.nextTick(callback, null, [{ address, family: 4 }])
  return process.nextTick(callback, null, address, 4)
}
