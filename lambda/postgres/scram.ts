import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'

const SCRAM_ITERATIONS = 4096
const SCRAM_KEY_BYTES = 32

/**
 * The verifier that PostgreSQL stores for a password (RFC 5803: iterations, salt, StoredKey, ServerKey).
 * Sending it instead of the password keeps the password out of the server's log. Passwords beyond ASCII are
 * normalised with NFKC, which equals SASLprep except for rare characters.
 */
export function scramVerifier(password: string, salt = randomBytes(16)): string {
  const salted = pbkdf2Sync(
    password.normalize('NFKC'),
    salt,
    SCRAM_ITERATIONS,
    SCRAM_KEY_BYTES,
    'sha256',
  )
  const hmac = (text: string) => createHmac('sha256', salted).update(text).digest()
  const storedKey = createHash('sha256').update(hmac('Client Key')).digest('base64')
  const serverKey = hmac('Server Key').toString('base64')
  return `SCRAM-SHA-256$${SCRAM_ITERATIONS}:${salt.toString('base64')}$${storedKey}:${serverKey}`
}
