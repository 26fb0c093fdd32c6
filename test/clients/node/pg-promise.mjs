import pgPromise from 'pg-promise'
import { rounds } from './rounds.mjs'

const db = pgPromise()(process.env.DATABASE_URL)
await rounds(() => db.one('select 1 as one'))
