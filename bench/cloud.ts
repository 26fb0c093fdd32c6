import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Aws, EXAMPLE_KEYS, startAws } from '../stand-ins/aws.ts'
import { startProxy } from '../stand-ins/proxy.ts'
import { type BenchServer, benchServer, REAPER } from './server.ts'
import { serveTls } from './tls.ts'

/** Assumptions, ms: a round trip to the database in the same region, and one to an AWS API. */
export const DATABASE_TRIP_MS = 1
export const AWS_TRIP_MS = 50

const SECRET = 'bench'

/** Everything that a function in Lambda reaches, as far away as there, and with TLS as there. */
export type Cloud = {
  db: BenchServer
  aws: Aws
  /** For the function that sweeps this server. */
  environment: Record<string, string>
  stop(): Promise<void>
}

/** @param bundle the folder of the built function, with the authorities of RDS */
export async function startCloud(bundle: string, maxConnections: number): Promise<Cloud> {
  const db = await benchServer({ max_connections: String(maxConnections) })
  const authority = await serveTls(db.admin)
  const { user: username, password } = REAPER
  const tls = {
    cert: readFileSync(authority),
    key: readFileSync(join(dirname(authority), 'server.key')),
  }
  const aws = await startAws({ [SECRET]: JSON.stringify({ username, password }) }, tls)
  const toAws = await startProxy(
    { host: '127.0.0.1', port: Number(new URL(aws.url).port) },
    { tripMs: AWS_TRIP_MS },
  )
  const toDatabase = await startProxy(db.address, { tripMs: DATABASE_TRIP_MS })
  // The function reads the authorities of RDS, as it does in Lambda, and the one of this server.
  const caFile = join(dirname(authority), 'authorities.pem')
  writeFileSync(
    caFile,
    `${readFileSync(join(bundle, 'rds-ca.pem'), 'utf8')}\n${readFileSync(authority, 'utf8')}`,
  )
  return {
    db,
    aws,
    environment: {
      ...EXAMPLE_KEYS,
      AWS_ENDPOINT_URL: `https://localhost:${toAws.port}`,
      NODE_EXTRA_CA_CERTS: authority,
      SLOTKEEPER_TARGET: 'bench',
      SLOTKEEPER_SECRET_ARN: SECRET,
      SLOTKEEPER_HOST: 'localhost',
      SLOTKEEPER_PORT: String(toDatabase.port),
      SLOTKEEPER_CA_FILE: caFile,
    },
    async stop() {
      await toAws.close()
      await toDatabase.close()
      await aws.close()
      await db.stop()
    },
  }
}
