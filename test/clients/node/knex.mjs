import knex from 'knex'
import { rounds } from './rounds.mjs'

const db = knex({ client: 'pg', connection: process.env.DATABASE_URL })
await rounds(() => db.select(db.raw('1')))
