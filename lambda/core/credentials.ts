/** What a server may ask of a client that logs in, under libpq's names for it; `none` is nothing at all. */
export const METHODS = ['none', 'password', 'md5', 'scram-sha-256'] as const

export type Method = (typeof METHODS)[number]

/** What it takes to log in to one target. */
export type Credentials = {
  /** A name, an address, or the folder of a Unix socket. */
  host: string
  /** Where to reach it, where that is not what the host's name says: at the near end of a tunnel. */
  address?: string
  port: number
  user: string
  /** Empty where there is none. */
  password: string
  database: string
  /** For a role that is not let into the first one. */
  secondDatabase?: string
  /** What the server may ask of the login; anything that is spoken here where it is not given. */
  methods?: readonly Method[]
}

/** Reads the credentials; `fresh` passes over what is cached. */
export type ReadCredentials = (fresh: boolean) => Promise<Credentials>
